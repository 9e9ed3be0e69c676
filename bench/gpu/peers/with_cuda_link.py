# SPDX-License-Identifier: MIT OR Apache-2.0
"""cuda-link's own producer and consumer, measured like ours.

cuda-link is on no package index: give a wheel or a source tree of it to `cargo xtask gpu-bundle --cuda-link PATH`. Both
of its programming interfaces are known here, the one of 1.1 and the one since 1.5; its settings are its defaults.
"""

import time

import measuring
from measuring import CpuShare, Pair, consumer_rounds, paced_rounds, producer_rounds, share_row, time_row

CHANNEL = "uncopy_bench_peer"
POLL_S = 0.0001
"""Between two looks of its polling loop, as in its own benchmarks."""

WAYS = {
    "known": "the consumer spins on get_frame()",
    "known_on_stream": "the consumer spins on get_frame(stream), then waits for the stream",
    "numpy": "the consumer spins on get_frame_numpy()",
}


def measure(sizes, frames, paced_frames):
    rows = []
    for size in sizes:
        for way, what in WAYS.items():
            calls, (waits, _), _ = exchange(size, way, frames)
            rows.append(time_row(way, size, waits, what))
            if way == "known":
                rows.append(time_row("call", size, calls, "the producer's export"))
        rows.extend(paced(size, paced_frames))
    return rows


def paced(size, frames):
    _, (waits, consumer), producer = exchange(size, "polling", frames)
    return [
        time_row("known_60hz", size, waits, f"60 frames a second, the consumer looks every {POLL_S * 1e6:.0f} us"),
        share_row("producer_cpu_60hz", size, producer, "of one core, by getrusage"),
        share_row("consumer_cpu_60hz", size, consumer, "of one core, by getrusage"),
    ]


def exchange(size, way, frames):
    """All frames of one way: the producer's calls, what the consumer returned, the producer's share of a core."""
    import torch

    shape, dtype = measuring.shape_and_dtype(size)
    source = torch.zeros(shape, dtype=getattr(torch, dtype), device="cuda")
    length = source.numel() * source.element_size()
    exporter = open_exporter(shape, dtype)

    def make(number):
        source.fill_(number % measuring.VALUES)
        torch.cuda.synchronize()

    def send(_):
        exporter.send(source.data_ptr(), length)

    try:
        with Pair(consume, way, frames) as pair:
            pair.page.spin_until(measuring.READY, 1)
            cpu = CpuShare()
            if way == "polling":
                calls = paced_rounds(pair.page, frames, send, cpu)
            else:
                calls = producer_rounds(pair.page, frames, make, send)
            return calls, pair.result(), cpu.share
    finally:
        exporter.close()


def consume(page, way, frames):
    import torch

    torch.cuda.init()
    importer = open_importer()
    stream = torch.cuda.Stream()

    def spin(get):
        while (frame := get()) is None:
            page.end_if_other_failed()
        return frame

    def on_stream():
        spin(lambda: importer.get_frame(stream))
        stream.synchronize()

    def polling():
        while importer.get_frame() is None:
            page.end_if_other_failed()
            time.sleep(POLL_S)

    receive = {
        "known": lambda: spin(importer.get_frame),
        "known_on_stream": on_stream,
        "numpy": lambda: spin(importer.get_frame_numpy),
        "polling": polling,
    }[way]
    # It tries once to connect, so the producer was there first; from here on it may send.
    page.words[measuring.READY] = 1
    cpu = CpuShare()
    waits = consumer_rounds(page, frames, receive, cpu)
    importer.close()
    return waits, cpu.share


def open_exporter(shape, dtype):
    import cuda_link

    exporter = ExporterOf15 if hasattr(cuda_link, "Exporter") else ExporterOf11
    return exporter(cuda_link, shape, dtype)


def open_importer():
    import cuda_link

    importer = ImporterOf15 if hasattr(cuda_link, "Importer") else ImporterOf11
    return importer(cuda_link)


class ExporterOf11:
    def __init__(self, cuda_link, shape, dtype):
        height, width, channels = shape
        self.inner = cuda_link.CUDAIPCExporter(CHANNEL, height, width, channels=channels, dtype=dtype)
        if not self.inner.initialize():
            raise RuntimeError("cuda-link's exporter did not initialize; what it printed says why")

    def send(self, pointer, length):
        if not self.inner.export_frame(pointer, length):
            raise RuntimeError("cuda-link exported nothing")

    def close(self):
        self.inner.cleanup()


class ImporterOf11:
    def __init__(self, cuda_link):
        self.inner = cuda_link.CUDAIPCImporter(CHANNEL)
        if not self.inner.is_ready():
            raise RuntimeError("cuda-link's importer did not connect")
        self.get_frame = self.inner.get_frame
        self.get_frame_numpy = self.inner.get_frame_numpy

    def close(self):
        self.inner.cleanup()


class ExporterOf15:
    def __init__(self, cuda_link, shape, dtype):
        height, width, channels = shape
        self.frame = cuda_link.GpuFrame
        self.published = cuda_link.FrameOutcome.PUBLISHED
        self.inner = cuda_link.Exporter.open(cuda_link.FrameSpec(CHANNEL, height, width, channels, dtype))

    def send(self, pointer, length):
        if self.inner.export(self.frame(pointer, length)) != self.published:
            raise RuntimeError("cuda-link exported nothing")

    def close(self):
        self.inner.close()


class ImporterOf15:
    def __init__(self, cuda_link):
        self.inner = cuda_link.Importer.open(cuda_link.ImportSpec(CHANNEL))
        if not self.inner.is_ready():
            raise RuntimeError("cuda-link's importer did not connect")

    def get_frame(self, stream=None):
        return self.inner.get_frame(stream).frame

    def get_frame_numpy(self):
        return self.inner.get_frame_numpy().frame

    def close(self):
        self.inner.close()


def version():
    import cuda_link

    return f"cuda-link {cuda_link.__version__}"


if __name__ == "__main__":
    measuring.main("cuda_link", version, measure)
