//! What images are to a file that takes one type only.

/// The type of the images that a file takes which takes one type only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageInput {
    /// Raw pixels, uint8 [n, height, width].
    Uint8,
    /// Values from 0 to 1, float32 [n, height, width].
    Float,
}

impl ImageInput {
    /// All types.
    pub const ALL: [ImageInput; 2] = [ImageInput::Uint8, ImageInput::Float];

    /// As users write it: `uint8`.
    pub fn keyword(self) -> &'static str {
        match self {
            ImageInput::Uint8 => "uint8",
            ImageInput::Float => "float",
        }
    }
}
