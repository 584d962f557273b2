//! What happens while a data set is fetched and decoded.

/// A step of fetching or decoding, for display.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A file is asked for.
    Started {
        /// Its address.
        address: String,
    },
    /// Bytes have come.
    Received {
        /// So far, those of an earlier try included.
        bytes: u64,
        /// Of how many, where the server said so.
        of: Option<u64>,
    },
    /// The mirror failed; the next one is tried.
    MirrorFailed {
        /// Its address.
        address: String,
        /// What went wrong.
        fault: String,
    },
    /// Images were decoded, for the first time.
    Decoded {
        /// So far.
        images: usize,
        /// Of how many, where that is known.
        of: Option<usize>,
    },
    /// Another process is fetching this file; it is waited for.
    Waiting,
    /// The file is in its place.
    Finished,
}
