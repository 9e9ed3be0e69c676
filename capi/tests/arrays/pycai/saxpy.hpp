// SPDX-License-Identifier: MIT OR Apache-2.0
// s = a * x + y on a CUDA device, for tests: one kernel as PTX, which the stand-in driver does on the host.
#pragma once

#include <cstdint>

#include <uncopy/array/driver.hpp>

namespace saxpy {

inline constexpr const char *ptx = R"(
.version 6.0
.target sm_50
.address_size 64

// Strides count floats. Any grid will do: threads stride over the elements.
.visible .entry uncopy_saxpy(
    .param .u64 s, .param .u64 x, .param .u64 y, .param .f32 a, .param .u64 n,
    .param .s64 stride_s, .param .s64 stride_x, .param .s64 stride_y
)
{
    .reg .pred %done;
    .reg .b32 %thread, %threads, %block, %blocks;
    .reg .b64 %s, %x, %y, %n, %i, %step, %wide, %ss, %sx, %sy, %at;
    .reg .f32 %a, %fx, %fy;

    ld.param.u64 %s, [s];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.f32 %a, [a];
    ld.param.u64 %n, [n];
    ld.param.s64 %ss, [stride_s];
    ld.param.s64 %sx, [stride_x];
    ld.param.s64 %sy, [stride_y];
    cvta.to.global.u64 %s, %s;
    cvta.to.global.u64 %x, %x;
    cvta.to.global.u64 %y, %y;
    mov.u32 %thread, %tid.x;
    mov.u32 %threads, %ntid.x;
    mov.u32 %block, %ctaid.x;
    mov.u32 %blocks, %nctaid.x;
    mul.wide.u32 %i, %block, %threads;
    cvt.u64.u32 %wide, %thread;
    add.u64 %i, %i, %wide;
    mul.wide.u32 %step, %blocks, %threads;
next:
    setp.ge.u64 %done, %i, %n;
    @%done bra end;
    mul.lo.s64 %at, %i, %sx;
    shl.b64 %at, %at, 2;
    add.s64 %at, %at, %x;
    ld.global.f32 %fx, [%at];
    mul.lo.s64 %at, %i, %sy;
    shl.b64 %at, %at, 2;
    add.s64 %at, %at, %y;
    ld.global.f32 %fy, [%at];
    mul.rn.f32 %fx, %fx, %a;
    add.rn.f32 %fx, %fx, %fy;
    mul.lo.s64 %at, %i, %ss;
    shl.b64 %at, %at, 2;
    add.s64 %at, %at, %s;
    st.global.f32 [%at], %fx;
    add.u64 %i, %i, %step;
    bra next;
end:
    ret;
}
)";

// Puts the work into a stream of the device. Strides count floats.
inline void launch(int device_id, uncopy::stream into, float *s, const float *x, const float *y, float a,
                   std::uint64_t n, std::int64_t stride_s = 1, std::int64_t stride_x = 1, std::int64_t stride_y = 1) {
  static const uncopy::driver::kernel kernel(ptx, "uncopy_saxpy");
  void *arguments[] = {&s, &x, &y, &a, &n, &stride_s, &stride_x, &stride_y};
  if (n != 0) kernel.launch(device_id, into, 256, 32, arguments);
}

}  // namespace saxpy
