//! Four libraries for DEFLATE (RFC 1951), used as permessage-deflate needs them: one message at
//! a time, without references to earlier ones, with a state that is reused.
//!
//! | library | description | interface |
//! |---|---|---|
//! | zlib-rs | zlib in Rust | `Deflate`, `Inflate`: reset, sync flush |
//! | miniz_oxide | miniz in Rust, without unsafe code | its streams: reset, sync flush |
//! | zlib-ng | zlib in C, made faster | by `flate2`: reset, sync flush |
//! | libdeflate | whole buffers only, in C | a stream with a final block, and `00` |
//!
//! libdeflate cannot read a message that arrives in pieces, and cannot limit the output of a
//! stream. It shows the speed that is possible without these two. Its input must have the bytes
//! that the sender has removed, and a final block, so the input is copied.

pub mod message;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

/// Compresses messages one by one.
pub trait Deflating {
    /// Writes the payload of this message (RFC 7692 §7.2.1) to the beginning of `output`, which
    /// is large enough, and returns its length.
    fn deflate(&mut self, message: &[u8], output: &mut [u8]) -> usize;
}

/// Inflates messages one by one.
pub trait Inflating {
    /// Inflates the payload of a message into `output`. Returns the length of the message.
    fn inflate(&mut self, payload: &[u8], output: &mut [u8]) -> usize;
}

/// A library, with the functions that create its states. A level is from 1 to 9.
#[derive(Clone, Copy)]
pub struct Library {
    pub name: &'static str,
    pub deflating: fn(u8) -> Box<dyn Deflating>,
    pub inflating: fn() -> Box<dyn Inflating>,
}

/// The libraries of the comparison.
pub const LIBRARIES: [Library; 4] = [
    Library {
        name: "zlib-rs",
        deflating: |level| Box::new(Deflate::new(level.into(), false, WINDOW_BITS)),
        inflating: || Box::new(Inflate::new(false, WINDOW_BITS)),
    },
    Library {
        name: "miniz_oxide",
        deflating: |level| {
            let window_bits = -i32::from(WINDOW_BITS);
            let flags = create_comp_flags_from_zip_params(level.into(), window_bits, 0);
            Box::new(CompressorOxide::new(flags))
        },
        inflating: || Box::new(Miniz(InflateState::new_boxed(DataFormat::Raw))),
    },
    Library {
        name: "zlib-ng",
        deflating: |level| {
            let level = Compression::new(level.into());
            Box::new(Compress::new_with_window_bits(level, false, WINDOW_BITS))
        },
        inflating: || Box::new(Decompress::new_with_window_bits(false, WINDOW_BITS)),
    },
    Library {
        name: "libdeflate",
        deflating: |level| {
            let level = CompressionLvl::new(level.into()).expect("1 to 9");
            Box::new(Compressor::new(level))
        },
        inflating: || {
            Box::new(WholeBuffer {
                decompressor: Decompressor::new(),
                input: Vec::new(),
            })
        },
    },
];

impl Deflating for Deflate {
    fn deflate(&mut self, message: &[u8], output: &mut [u8]) -> usize {
        self.reset();
        self.compress(message, output, DeflateFlush::SyncFlush)
            .expect("a sound state");
        without_empty_block(self.total_out() as usize)
    }
}

impl Inflating for Inflate {
    fn inflate(&mut self, payload: &[u8], output: &mut [u8]) -> usize {
        self.reset(false);
        for input in [payload, &EMPTY_BLOCK] {
            let from = self.total_out() as usize;
            self.decompress(input, &mut output[from..], InflateFlush::SyncFlush)
                .expect("sound input");
        }
        self.total_out() as usize
    }
}

impl Deflating for CompressorOxide {
    fn deflate(&mut self, message: &[u8], output: &mut [u8]) -> usize {
        self.reset();
        let result = miniz_oxide::deflate::stream::deflate(self, message, output, MZFlush::Sync);
        result.status.expect("a sound state");
        without_empty_block(result.bytes_written)
    }
}

struct Miniz(Box<InflateState>);

impl Inflating for Miniz {
    fn inflate(&mut self, payload: &[u8], output: &mut [u8]) -> usize {
        self.0.reset(DataFormat::Raw);
        let mut written = 0;
        for mut input in [payload, &EMPTY_BLOCK] {
            // The library returns at most one window at a time.
            loop {
                let output = &mut output[written..];
                let result = miniz_oxide::inflate::stream::inflate(
                    &mut self.0,
                    input,
                    output,
                    MZFlush::None,
                );
                written += result.bytes_written;
                input = &input[result.bytes_consumed..];
                if result.bytes_written == 0 && result.bytes_consumed == 0 {
                    break;
                }
            }
        }
        written
    }
}

impl Deflating for Compress {
    fn deflate(&mut self, message: &[u8], output: &mut [u8]) -> usize {
        self.reset();
        self.compress(message, output, FlushCompress::Sync)
            .expect("a sound state");
        without_empty_block(self.total_out() as usize)
    }
}

impl Inflating for Decompress {
    fn inflate(&mut self, payload: &[u8], output: &mut [u8]) -> usize {
        self.reset(false);
        for input in [payload, &EMPTY_BLOCK] {
            let from = self.total_out() as usize;
            self.decompress(input, &mut output[from..], FlushDecompress::Sync)
                .expect("sound input");
        }
        self.total_out() as usize
    }
}

impl Deflating for Compressor {
    /// A final block ends the stream. The bytes that the receiver appends must be a block
    /// (RFC 7692 §7.2.3.4).
    fn deflate(&mut self, message: &[u8], output: &mut [u8]) -> usize {
        let written = self.deflate_compress(message, output).expect("room");
        output[written] = 0x00;
        written + 1
    }
}

struct WholeBuffer {
    decompressor: Decompressor,
    input: Vec<u8>,
}

impl Inflating for WholeBuffer {
    fn inflate(&mut self, payload: &[u8], output: &mut [u8]) -> usize {
        self.input.clear();
        self.input.extend_from_slice(payload);
        self.input.extend_from_slice(&EMPTY_BLOCK);
        self.input.extend_from_slice(&FINAL_BLOCK);
        self.decompressor
            .deflate_decompress(&self.input, output)
            .expect("sound input")
    }
}

/// A sync flush ends with an empty block, whose last four bytes are not sent.
fn without_empty_block(bytes: usize) -> usize {
    bytes - EMPTY_BLOCK.len()
}

const WINDOW_BITS: u8 = 15;
const EMPTY_BLOCK: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
const FINAL_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_inflates_what_every_library_has_compressed_time_and_again() {
        for compressing in LIBRARIES {
            for level in [1, 6, 9] {
                let mut deflating = (compressing.deflating)(level);
                for inflating in LIBRARIES {
                    let mut state = (inflating.inflating)();
                    for bytes in [64, 256, 1024, 65_536, 300_000, 256] {
                        let message = message::json(bytes);
                        let mut payload = vec![0; bytes + 1024];
                        let length = deflating.deflate(&message, &mut payload);
                        assert!(length < message.len() || bytes < 100);
                        let mut output = vec![0; message.len() + 1];
                        let inflated = state.inflate(&payload[..length], &mut output);
                        let what =
                            format!("{} {level} {bytes} by {}", compressing.name, inflating.name);
                        assert!(output[..inflated] == message, "{what}");
                    }
                }
            }
        }
    }
}
