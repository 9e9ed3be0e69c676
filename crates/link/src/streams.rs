// SPDX-License-Identifier: MIT OR Apache-2.0
//! One stream after another, for arrays that change hands within a process.

use std::io;

use uncopy_core::{Device, Stream};

use crate::accelerators;

/// Makes everything that is put into the stream `then` from now on wait for what the stream `first` holds now. Both are
/// on `device`. Returns at once; from then on neither is needed here.
///
/// # Errors
/// As the [seam](uncopy_tensor::accelerator) has them: `ResourceBusy` where one of the streams is being captured.
pub fn order_streams(device: Device, first: Stream, then: Stream) -> io::Result<()> {
    if first == then {
        return Ok(());
    }
    accelerators::known()?.find(device)?.order(first, then)
}
