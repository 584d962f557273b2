//! The markers of a JPEG: where it ends, and what its decoder needs.

/// What the markers of a JPEG say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JpegFile {
    /// Where its end marker ends; anything may follow. None if the file was cut short.
    pub end: Option<usize>,
    /// Whether it is coded in several passes over the whole image, all of which its decoder keeps in memory.
    pub is_progressive: bool,
}

const FILL: u8 = 0xff;
const START_OF_SCAN: u8 = 0xda;
const END: u8 = 0xd9;

impl JpegFile {
    /// Goes from marker to marker. What is embedded in a segment, such as a thumbnail with its own end, is
    /// passed over; within the data of a scan, no byte 0xff is followed by that of a marker with a length.
    pub fn of(bytes: &[u8]) -> JpegFile {
        let mut is_progressive = false;
        // Behind the marker of its start.
        let mut at = 2;
        while let Some(length) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == FILL)) {
            at += length;
            while bytes.get(at) == Some(&FILL) {
                at += 1;
            }
            let Some(&marker) = bytes.get(at) else { break };
            at += 1;
            match marker {
                END => return JpegFile { end: Some(at), is_progressive },
                // No marker, or one without a segment.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                _ => {
                    is_progressive |= matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
                    let Some([high, low]) = bytes.get(at..at + 2) else { break };
                    at += usize::from(u16::from_be_bytes([*high, *low]));
                }
            }
        }
        // Decoders forgive a wrong length, too.
        let last = |marker| bytes.windows(2).rposition(|pair| pair == [FILL, marker]);
        let end = last(START_OF_SCAN).filter(|scan| last(END) > Some(*scan)).map(|_| bytes.len());
        JpegFile { end, is_progressive }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [u8; 2] = [0xff, 0xd8];
    const SCAN: [u8; 11] = [0xff, 0xda, 0, 4, 1, 1, 7, 0xff, 0, 0xff, 0xd3];

    fn of(parts: &[&[u8]]) -> JpegFile {
        JpegFile::of(&parts.concat())
    }

    #[test]
    fn the_end_is_the_marker_behind_the_scans_whatever_is_embedded_or_follows() {
        let baseline = [0xff, 0xc0, 0, 3, 0];
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd9, 0xff, 0xda];
        let end = [0xff, 0xff, 0xd9];
        let whole: &[&[u8]] = &[&START, &thumbnail, &baseline, &SCAN, &SCAN, &end];
        let length = whole.concat().len();
        assert_eq!(of(whole), JpegFile { end: Some(length), is_progressive: false });
        let with_marker = [whole, &[&[0xff, 0xda, 0xff, 0xd8]]].concat();
        assert_eq!(of(&with_marker).end, Some(length));
        assert_eq!(of(&[&START, &thumbnail, &baseline, &SCAN]).end, None);
        assert!(of(&[&START, &[0xff, 0xc2, 0, 3, 0], &SCAN, &end]).is_progressive);
        for cut in 0..length {
            assert_eq!(JpegFile::of(&whole.concat()[..cut]).end, None, "{cut}");
        }
        // A segment that states more than there is.
        assert!(of(&[&START, &[0xff, 0xe0, 0xff, 0xff], &SCAN, &end]).end.is_some());
    }
}
