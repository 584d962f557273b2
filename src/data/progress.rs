//! The steps of fetching and decoding a data set, for display.

use std::path::PathBuf;

/// A step of fetching or decoding, for display.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A file is requested.
    Started {
        /// Its address.
        address: String,
    },
    /// Bytes were received.
    Received {
        /// So far, including those of an earlier try.
        bytes: u64,
        /// In all, if the server said so.
        of: Option<u64>,
    },
    /// A mirror failed; the next one is tried.
    MirrorFailed {
        /// Its address.
        address: String,
        /// What went wrong.
        fault: String,
    },
    /// An archive is unpacked for the first time.
    Unpacking {
        /// Where to.
        folder: PathBuf,
    },
    /// Files of an archive were unpacked.
    Unpacked {
        /// Their bytes, so far.
        bytes: u64,
    },
    /// Images were decoded for the first time.
    Decoded {
        /// So far.
        images: usize,
        /// In all, if that is known.
        of: Option<usize>,
    },
    /// Another process is fetching the same file or decoding the same images; this one waits for it.
    Waiting,
    /// The file or the images are in their place.
    Finished,
}
