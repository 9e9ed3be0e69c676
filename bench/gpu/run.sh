#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the GPU tests and measurements of this bundle on a machine without Rust and without a network; --help says how.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || { echo "python3 is missing: Python 3.11 or later is needed" >&2; exit 1; }
exec python3 -B "$here/run" "$@"
