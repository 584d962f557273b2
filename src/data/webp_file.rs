//! The chunks of a WebP file: whether all are there, and what its decoder needs. It takes the lengths that chunks
//! state for memory, and the sizes of frames likewise.

use anyhow::{Context, Result, ensure};

/// What the chunks of a WebP file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WebPFile {
    pub is_animated: bool,
}

/// What comes before the first chunk of a file, and before the first one within that of a frame.
const FILE_HEAD: usize = 12;
const FRAME_HEAD: usize = 16;

impl WebPFile {
    /// Goes through the chunks.
    ///
    /// # Errors
    /// A file that was cut short, or a frame that is larger than the image.
    pub fn of(bytes: &[u8]) -> Result<WebPFile> {
        let mut file = WebPFile { is_animated: false };
        let mut canvas = None;
        for chunk in Chunks(bytes.get(FILE_HEAD..).unwrap_or_default()) {
            match chunk? {
                (b"VP8X", content) => canvas = canvas_of(content),
                (b"ANMF", content) => {
                    file.is_animated = true;
                    for chunk in Chunks(content.get(FRAME_HEAD..).unwrap_or_default()) {
                        let (name, content) = chunk?;
                        check_frame(name, content, canvas)?;
                    }
                }
                (name, content) => check_frame(name, content, canvas)?,
            }
        }
        Ok(file)
    }
}

/// Height and width that an extended file states.
fn canvas_of(content: &[u8]) -> Option<[u32; 2]> {
    let side = |at: usize| {
        Some(1 + u32::from_le_bytes([*content.get(at)?, *content.get(at + 1)?, *content.get(at + 2)?, 0]))
    };
    Some([side(7)?, side(4)?])
}

/// A frame must fit into the canvas, if there is one; else it has the size of the image.
fn check_frame(name: &[u8; 4], content: &[u8], canvas: Option<[u32; 2]>) -> Result<()> {
    let (b"VP8 ", Some([height, width])) = (name, canvas) else { return Ok(()) };
    let side =
        |at: usize| Some(u32::from(u16::from_le_bytes([*content.get(at)?, *content.get(at + 1)?]) & 0x3fff));
    let (Some(own_width), Some(own_height)) = (side(6), side(8)) else { return Ok(()) };
    ensure!(own_width <= width && own_height <= height, "is a damaged image: a frame is larger than it");
    Ok(())
}

/// The chunks in a row, each with its name and its content.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<(&'a [u8; 4], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let content = rest.get(..length).context("is a damaged image: it was cut short");
        // Chunks begin at even places.
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(content.map(|content| (name, content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let padding = &[0][..content.len() % 2];
        [&name[..], &(content.len() as u32).to_le_bytes(), content, padding].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"RIFF\0\0\0\0WEBP".to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn what_states_more_than_there_is_is_damaged() {
        // 4 pixels by 3.
        let canvas = chunk(b"VP8X", &[0, 0, 0, 0, 3, 0, 0, 2, 0, 0]);
        let frame = |width: u8| chunk(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, width, 0, 3, 0, 7]);
        let whole = file(&[canvas.clone(), chunk(b"EXIF", &[1; 7]), frame(4)]);
        assert_eq!(WebPFile::of(&whole).unwrap(), WebPFile { is_animated: false });
        let of_frames =
            |width| file(&[canvas.clone(), chunk(b"ANMF", &[vec![0; 16], frame(width)].concat())]);
        assert_eq!(WebPFile::of(&of_frames(4)).unwrap(), WebPFile { is_animated: true });
        for larger in [file(&[canvas.clone(), frame(5)]), of_frames(5)] {
            assert!(WebPFile::of(&larger).unwrap_err().to_string().contains("a frame is larger"));
        }
        // One that has no size of its own beside it.
        assert!(WebPFile::of(&file(&[frame(5)])).is_ok());
        let cut = &whole[..whole.len() - 2];
        assert_eq!(WebPFile::of(cut).unwrap_err().to_string(), "is a damaged image: it was cut short");
        assert!(WebPFile::of(b"RIFF").is_ok(), "its decoder knows better");
    }
}
