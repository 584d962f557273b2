//! What a fetched file is checked against.

/// The SHA-256 that a file must have, in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Digest {
    /// Of the file as it is fetched.
    OfFile(&'static str),
    /// Of what the gzipped file holds: mirrors may have compressed it anew.
    OfContent(&'static str),
}
