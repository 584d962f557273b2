//! What a file holds, as its first bytes say it, whatever it is called.

use super::foreign_kind::ForeignKind;
use super::gzip;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// What must be read of a file to recognise it: the name of a zip archive's first member, the mark of a tar
/// archive at byte 257, the keys of a pickle.
pub(super) const HEAD: usize = 4096;

/// A format that fitch reads, as the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Image,
    Idx,
    Npz,
    Parquet,
    Foreign(ForeignKind),
}

impl Content {
    /// What the first bytes of a file say, whatever its name; none if they say nothing.
    pub fn of_file(path: &Path) -> Option<Content> {
        let mut file = File::open(path).ok()?;
        let head = head(&mut file)?;
        match head.as_slice() {
            // What an archive is for is in the names of its members.
            [b'P', b'K', 3, 4, ..] => Some(of_archive(file).unwrap_or_else(|| of_first_member(&head))),
            _ => match Content::of_head(&head) {
                Some(Content::Foreign(ForeignKind::Json)) if is_first_of_lines(&head, &mut file) => {
                    Some(Content::Foreign(ForeignKind::JsonLines))
                }
                None => is_tf_record(&head, file.metadata().ok()?.len())
                    .then_some(Content::Foreign(ForeignKind::TfRecord)),
                content => content,
            },
        }
    }

    /// The same of the first bytes, unpacked if the file is gzipped.
    pub fn of_head(head: &[u8]) -> Option<Content> {
        use ForeignKind::*;
        if head.starts_with(&gzip::MAGIC) {
            return of_gzip(head);
        }
        if let [0, 0, 8..=14, 1..=16, ..] = head {
            return Some(Content::Idx);
        }
        if is_image(head) {
            return Some(Content::Image);
        }
        let brand = |brands: &[&[u8; 4]]| {
            head.get(4..8) == Some(b"ftyp")
                && head.get(8..12).is_some_and(|brand| brands.iter().any(|known| brand == *known))
        };
        let is_tar = head.get(257..262) == Some(b"ustar");
        let begins = |start: &[u8]| head.starts_with(start);
        Some(match head {
            _ if begins(b"PAR1") => Content::Parquet,
            _ if begins(b"PK\x03\x04") => of_first_member(head),
            _ if begins(b"version https://git-lfs") => Content::Foreign(GitLfs),
            _ if brand(&[b"avif", b"avis"]) => Content::Foreign(Avif),
            _ if brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"]) => {
                Content::Foreign(Heic)
            }
            _ if begins(b"\0\0\0\x0cjP  \r\n\x87\n") || begins(b"\xff\x4f\xff\x51") => {
                Content::Foreign(Jpeg2000)
            }
            _ if begins(b"\0\0\0\x0cJXL \r\n\x87\n") || begins(b"\xff\x0a") => Content::Foreign(JpegXl),
            [b'P', b'1'..=b'7', b'\n' | b'\r', ..] => Content::Foreign(Netpbm),
            _ if begins(b"8BPS") => Content::Foreign(Photoshop),
            _ if begins(b"\0\0\x01\0") && head.get(5) == Some(&0) => Content::Foreign(Icon),
            _ if head.get(128..132) == Some(b"DICM") => Content::Foreign(Dicom),
            _ if begins(b"MATLAB 5.0") => Content::Foreign(Matlab),
            // They are HDF5 behind a head of their own.
            _ if begins(b"MATLAB 7.") => Content::Foreign(MatlabHdf5),
            _ if begins(b"\x89HDF\r\n\x1a\n") => Content::Foreign(Hdf5),
            _ if begins(b"\x93NUMPY") => Content::Foreign(Npy),
            _ if begins(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.") => Content::Foreign(Torch),
            [0x80, 2..=5, ..] => Content::Foreign(of_pickle(head)),
            _ if is_tar => Content::Foreign(Tar),
            _ if begins(b"BZh")
                || begins(b"\xfd7zXZ\0")
                || begins(b"7z\xbc\xaf\x27\x1c")
                || begins(b"Rar!") =>
            {
                Content::Foreign(OtherArchive)
            }
            _ if begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => Content::Foreign(Excel),
            _ if begins(b"ARROW1") || begins(b"\xff\xff\xff\xff") => Content::Foreign(Arrow),
            _ if begins(b"SQLite format 3\0") => Content::Foreign(Sqlite),
            _ if begins(b"%PDF-") => Content::Foreign(Pdf),
            [_, _, _, _, _, 0, 0, 0, b'{', b'"', ..] => Content::Foreign(Safetensors),
            _ => return of_text(head).map(Content::Foreign),
        })
    }
}

/// Whether the first bytes are those of an image that fitch reads.
fn is_image(head: &[u8]) -> bool {
    // "BM" alone could begin any text.
    let is_bmp = head.starts_with(b"BM") && matches!(head.get(14..18), Some([12..=124, 0, 0, 0]));
    let is_webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    const STARTS: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"];
    is_bmp || is_webp || is_tiff(head) || STARTS.iter().any(|start| head.starts_with(start))
}

/// Whether the first bytes are those of TIFF: with numbers in either order, and offsets of 32 or 64 bits.
pub(super) fn is_tiff(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|start| head.starts_with(*start))
}

fn head(file: &mut File) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// The first bytes of what is gzipped.
fn unpacked(head: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    // The end is missing, of course.
    let _ = MultiGzDecoder::new(head).take(HEAD as u64).read_to_end(&mut unpacked);
    unpacked
}

/// The first bytes of a file, of what is in it if it is gzipped; none of one that cannot be read.
pub(super) fn first_bytes(path: &Path) -> Vec<u8> {
    let head = File::open(path).ok().and_then(|mut file| head(&mut file)).unwrap_or_default();
    if head.starts_with(&gzip::MAGIC) { unpacked(&head) } else { head }
}

/// Whether the first bytes are those of text, gzipped or not.
pub(super) fn is_text(head: &[u8]) -> bool {
    if head.starts_with(&gzip::MAGIC) {
        let text = unpacked(head);
        return !text.starts_with(&gzip::MAGIC) && is_text(&text);
    }
    let is_utf_16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    !head.is_empty() && (is_utf_16 || !head.contains(&0))
}

/// The same of a file; one that cannot be read has none.
pub(super) fn is_text_file(path: &Path) -> bool {
    File::open(path).ok().and_then(|mut file| head(&mut file)).is_some_and(|head| is_text(&head))
}

fn of_gzip(head: &[u8]) -> Option<Content> {
    match unpacked(head).as_slice() {
        packed if packed.starts_with(&gzip::MAGIC) => None,
        [0x80, ..] => Some(Content::Foreign(ForeignKind::GzippedPickle)),
        unpacked => Content::of_head(unpacked),
    }
}

/// By the names of the members.
fn of_archive(mut file: File) -> Option<Content> {
    file.seek(SeekFrom::Start(0)).ok()?;
    let archive = zip::ZipArchive::new(file).ok()?;
    Some(of_members(&archive.file_names().take(10_000).collect::<Vec<_>>()))
}

/// By the name of the first member alone, if the end of the archive is missing.
fn of_first_member(head: &[u8]) -> Content {
    let length = head.get(26..28).map_or(0, |bytes| usize::from(bytes[0]) + 256 * usize::from(bytes[1]));
    let name = head.get(30..).map_or(&[][..], |rest| &rest[..length.min(rest.len())]);
    of_members(&[&String::from_utf8_lossy(name)])
}

fn of_members(names: &[&str]) -> Content {
    let any = |is: &dyn Fn(&str) -> bool| names.iter().any(|name| is(name));
    if !names.is_empty() && names.iter().all(|name| name.ends_with(".npy")) {
        Content::Npz
    } else if any(&|name| name.contains("/code/")) && any(&|name| name.ends_with("data.pkl")) {
        Content::Foreign(ForeignKind::TorchScript)
    } else if any(&|name| name.ends_with("/data.pkl")) {
        Content::Foreign(ForeignKind::Torch)
    } else if any(&|name| name.starts_with("xl/") || name == "[Content_Types].xml") {
        Content::Foreign(ForeignKind::Excel)
    } else {
        Content::Foreign(ForeignKind::Zip)
    }
}

fn of_pickle(head: &[u8]) -> ForeignKind {
    /// In CIFAR-100, the other keys come after all names of files.
    const FIRST_KEY: usize = 40;
    let holds = |key: &[u8]| head.windows(key.len()).any(|bytes| bytes == key);
    let is_cifar = [&b"batch_label"[..], b"fine_labels", b"coarse_labels"].iter().any(|key| holds(key));
    let begins_with_names =
        head[..FIRST_KEY.min(head.len())].windows(9).any(|bytes| bytes == b"filenames") && !holds(b"target");
    // The keys of CIFAR are bytes, those of others text.
    let has_text_keys = holds(b"\x8c\x04data") || holds(b"X\x04\0\0\0data");
    if is_cifar || begins_with_names || (holds(b"labels") && holds(b"data") && !has_text_keys) {
        ForeignKind::PickledCifar
    } else {
        ForeignKind::Pickle
    }
}

/// Kinds of text.
fn of_text(head: &[u8]) -> Option<ForeignKind> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |start: &str| {
        text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
    };
    // What follows the comments with which ARFF files begin.
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"%")).unwrap_or_default();
    let is_arff = first.get(..9).is_some_and(|word| word.eq_ignore_ascii_case(b"@relation"));
    if is_arff {
        Some(ForeignKind::Arff)
    } else if begins("<!doctype html") || begins("<html") {
        Some(ForeignKind::Html)
    } else if begins("<svg") || (begins("<?xml") && text.windows(4).any(|bytes| bytes == b"<svg")) {
        Some(ForeignKind::Svg)
    } else if begins("{\"") || begins("[{") || begins("[[") {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let is_line =
            first.starts_with(b"{") && first.ends_with(b"}") && first.len() < text.trim_ascii().len();
        Some(if is_line { ForeignKind::JsonLines } else { ForeignKind::Json })
    } else {
        None
    }
}

/// Whether the first bytes, without an end of line, and those after them are a whole line of JSON and what
/// follows is another.
fn is_first_of_lines(head: &[u8], file: &mut File) -> bool {
    /// Images of a few million values as text.
    const MAX_LINE: u64 = 1 << 26;
    if head.len() < HEAD || !head.trim_ascii_start().starts_with(b"{") || head.contains(&b'\n') {
        return false;
    }
    let mut last = 0;
    let mut line_ended = false;
    for byte in BufReader::new(file.take(MAX_LINE)).bytes() {
        match byte {
            Ok(b'\n') if last == b'}' => line_ended = true,
            Ok(b'\n') if !line_ended => return false,
            Ok(byte) if byte.is_ascii_whitespace() => {}
            Ok(byte) if line_ended => return byte == b'{',
            Ok(byte) => last = byte,
            Err(_) => return false,
        }
    }
    false
}

/// Records of TensorFlow, each with its length before it (and checksums, which are not looked at).
fn is_tf_record(head: &[u8], length: u64) -> bool {
    const AROUND: u64 = 8 + 4 + 4;
    let length_at = |at: u64| {
        let bytes = head.get(at as usize..at as usize + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let Some(first) = length_at(0).filter(|first| *first > 0) else { return false };
    let Some(end) = first.checked_add(AROUND).filter(|end| *end <= length) else { return false };
    // An example is a message whose field 1 comes first.
    let is_example = head.get(12) == Some(&0x0a);
    is_example
        && (end == length || length_at(end).is_none_or(|next| next.saturating_add(end + AROUND) <= length))
}

impl ForeignKind {
    /// What a file is by its content or else its name; none if it may be what fitch reads.
    pub fn of(path: &Path) -> Option<ForeignKind> {
        match Content::of_file(path) {
            Some(Content::Foreign(kind)) => Some(kind),
            Some(_) => None,
            None => ForeignKind::of_name(path)
                .or_else(|| is_binary_cifar(path).then_some(ForeignKind::BinaryCifar)),
        }
    }
}

/// Rows of one or two labels and 32 x 32 pixels in three colours, which begin with nothing of their own.
fn is_binary_cifar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "bin")
        && (holds_rows(path, 3073) || holds_rows(path, 3074))
}

/// Whether a file has rows of that many bytes, the first of which is a label.
pub(super) fn holds_rows(path: &Path, row: u64) -> bool {
    let labels = || -> std::io::Result<bool> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut label = [0; 1];
        let mut all_are_labels = length > 0 && length % row == 0;
        for start in (0..length).step_by(row as usize).take(100).take_while(|_| length % row == 0) {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut label)?;
            all_are_labels &= label[0] < 20;
        }
        Ok(all_are_labels)
    };
    labels().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Fault;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    fn zip(members: &[&str]) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = zip::ZipWriter::new(&mut bytes);
        for name in members {
            writer.start_file(*name, zip::write::FileOptions::default()).unwrap();
            writer.write_all(b"content").unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        bytes.into_inner()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn at(place: usize, mark: &[u8]) -> Vec<u8> {
        [&vec![b'x'; place], mark, &[0; 300]].concat()
    }

    /// Files by their content, whatever they are called.
    #[test]
    fn kinds_are_recognised_by_their_content() {
        use ForeignKind::*;
        let folder = tempfile::tempdir().unwrap();
        let record = [&20u64.to_le_bytes()[..], &[1; 4], b"\x0a\x12", &[7; 18], &[1; 4]].concat();
        for (kind, bytes) in [
            (Avif, b"\0\0\0\x20ftypavif".to_vec()),
            (Heic, b"\0\0\0\x18ftypheic".to_vec()),
            (Matlab, b"MATLAB 5.0 MAT-file, Platform: PCWIN64".to_vec()),
            (Hdf5, b"\x89HDF\r\n\x1a\n\0".to_vec()),
            (MatlabHdf5, b"MATLAB 7.3 MAT-file, Platform: GLNXA64".to_vec()),
            (Npy, b"\x93NUMPY\x01\0".to_vec()),
            (Torch, zip(&["archive/data.pkl", "archive/data/0"])),
            (TorchScript, zip(&["m/data.pkl", "m/code/__torch__.py"])),
            (Excel, zip(&["[Content_Types].xml", "xl/workbook.xml"])),
            (Zip, zip(&["cat/1.png", "dog/1.png"])),
            (Zip, zip(&["cat/1.png", "dog/1.png"])[..60].to_vec()),
            (Tar, at(257, b"ustar\0")),
            (Tar, gzip(&at(257, b"ustar\0"))),
            (PickledCifar, b"\x80\x04}\x94(C\x04data\x94C\x06labels\x94".to_vec()),
            (PickledCifar, b"\x80\x02}q\x01(U\tfilenamesq\x02]q\x03(".to_vec()),
            (Pickle, b"\x80\x02}q\x01(U\x10fine_label_namesq\x02]q\x03(".to_vec()),
            (Pickle, b"\x80\x04}\x94(\x8c\x04data\x94\x8c\x06labels\x94".to_vec()),
            (Pickle, b"\x80\x04]\x94.".to_vec()),
            (GzippedPickle, gzip(b"\x80\x02cnumpy")),
            (GitLfs, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec()),
            (Arff, b"% Iris\n%\n@RELATION iris\n".to_vec()),
            (Json, b"[{\"image\": [0, 1]}]".to_vec()),
            (JsonLines, b"{\"label\": 1}\n{\"label\": 2}\n".to_vec()),
            (JsonLines, format!("{{\"a\": [{}1]}}\r\n{{\"a\": []}}", "1, ".repeat(3000)).into_bytes()),
            (Json, format!("{{\"a\": [{}1]}}\n", "1, ".repeat(3000)).into_bytes()),
            (Json, format!("{{\"a\": [{}1],\n\"b\": {{}}}}", "1, ".repeat(3000)).into_bytes()),
            (Html, b"\n<!DOCTYPE html><html>".to_vec()),
            (Svg, b"<?xml version=\"1.0\"?><svg>".to_vec()),
            (Arrow, b"ARROW1\0\0".to_vec()),
            (Sqlite, b"SQLite format 3\0".to_vec()),
            (TfRecord, [&record[..], &record].concat()),
            (Dicom, at(128, b"DICM")),
        ] {
            let path = folder.path().join("train.csv");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(ForeignKind::of(&path), Some(kind));
            let Fault::ForeignKind { remedy, .. } = kind.fault(&path) else { panic!("another fault") };
            assert!(!remedy.is_empty() && !remedy.contains('\n'), "{remedy}");
        }
    }

    #[test]
    fn what_is_read_is_not_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (content, bytes) in [
            (Some(Content::Npz), zip(&["x_train.npy", "y_train.npy"])),
            (Some(Content::Parquet), b"PAR1\x15".to_vec()),
            (Some(Content::Image), b"\x89PNG\r\n\x1a\n".to_vec()),
            (Some(Content::Image), b"\xff\xd8\xff\xe0".to_vec()),
            (Some(Content::Image), b"RIFF\x10\0\0\0WEBPVP8 ".to_vec()),
            (Some(Content::Image), b"GIF89a".to_vec()),
            (Some(Content::Image), b"II*\0\x08".to_vec()),
            (Some(Content::Image), b"MM\0+\0\x08".to_vec()),
            (None, b"RIFF\x10\0\0\0WAVEfmt ".to_vec()),
            (Some(Content::Idx), gzip(&[0, 0, 8, 3, 0, 0, 0, 1])),
            (None, b"label,p0,p1\n1,2,3\n".to_vec()),
            (None, gzip(b"BMI,weight\n1,2\n")),
            (None, b"BMI,weight,height\n1,2,3\n".to_vec()),
            (None, Vec::new()),
            (None, vec![0; 16]),
            (None, vec![b'x'; 5000]),
        ] {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(Content::of_file(&path), content, "{bytes:?}");
        }
    }

    #[test]
    fn names_say_what_content_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            ForeignKind::of(&path).map(|kind| (kind, kind.remedy(&path)))
        };
        assert_eq!(kind("a.MAT", b"old").unwrap().0, ForeignKind::Matlab);
        assert_eq!(kind("a.b", b"old"), None);
        let row = [&[3][..], &[9; 3072]].concat();
        let (cifar, remedy) = kind("data_batch_1.bin", &row.repeat(2)).unwrap();
        assert_eq!(cifar, ForeignKind::BinaryCifar);
        assert!(remedy.contains("data_batch_*.bin") && remedy.contains("3073"), "{remedy}");
        assert_eq!(kind("other.bin", &vec![200; 3073]), None);
        kind("y_train.npy", b"\x93NUMPY");
        let (_, remedy) = kind("x_train.npy", b"\x93NUMPY").unwrap();
        assert!(
            remedy.contains("x_train.npy\"), y_train=np.load(\"") && remedy.contains("/y_train.npy"),
            "{remedy}"
        );
    }
}
