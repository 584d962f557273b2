//! Kinds of files that people have and fitch does not read.

use std::path::Path;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ForeignKind {
    /// Of a kind that its decoder does not know.
    Tiff,
    Avif,
    Heic,
    Jpeg2000,
    JpegXl,
    Netpbm,
    Photoshop,
    Icon,
    Svg,
    Dicom,
    Matlab,
    MatlabHdf5,
    Hdf5,
    Npy,
    Torch,
    TorchScript,
    Safetensors,
    GzippedPickle,
    PickledCifar,
    Pickle,
    BinaryCifar,
    GitLfs,
    Zip,
    Tar,
    OtherArchive,
    Arff,
    Excel,
    Json,
    JsonLines,
    TfRecord,
    Arrow,
    Sqlite,
    Html,
    Pdf,
    /// Formats of data sets, where images to classify are expected.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    Npz,
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    Parquet,
}

/// What files of a kind are called, in lower case, where the first bytes may not say it.
pub(super) const ENDINGS: [(ForeignKind, &[&str]); 25] = [
    (ForeignKind::Avif, &["avif"]),
    (ForeignKind::Heic, &["heic", "heif"]),
    (ForeignKind::Jpeg2000, &["jp2", "j2k", "jpx"]),
    (ForeignKind::JpegXl, &["jxl"]),
    (ForeignKind::Netpbm, &["pgm", "ppm", "pbm", "pnm"]),
    (ForeignKind::Photoshop, &["psd"]),
    (ForeignKind::Icon, &["ico"]),
    (ForeignKind::Svg, &["svg"]),
    (ForeignKind::Dicom, &["dcm", "dicom"]),
    (ForeignKind::Matlab, &["mat"]),
    (ForeignKind::Hdf5, &["h5", "hdf5", "hdf"]),
    (ForeignKind::Npy, &["npy"]),
    (ForeignKind::Torch, &["pt", "pth"]),
    (ForeignKind::Safetensors, &["safetensors"]),
    (ForeignKind::GzippedPickle, &["pkl.gz", "pickle.gz"]),
    (ForeignKind::Pickle, &["pkl", "pickle"]),
    (ForeignKind::Zip, &["zip"]),
    (ForeignKind::Tar, &["tar", "tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz"]),
    (ForeignKind::OtherArchive, &["rar", "7z"]),
    (ForeignKind::Arff, &["arff"]),
    (ForeignKind::Excel, &["xlsx", "xls", "xlsm"]),
    (ForeignKind::Json, &["json"]),
    (ForeignKind::JsonLines, &["jsonl", "ndjson"]),
    (ForeignKind::TfRecord, &["tfrecord", "tfrecords", "tfrec"]),
    (ForeignKind::Arrow, &["arrow", "feather"]),
];

impl ForeignKind {
    /// By the name alone.
    pub fn of_name(path: &Path) -> Option<ForeignKind> {
        let name = path.file_name()?.to_string_lossy();
        ENDINGS.iter().map(|(kind, _)| *kind).find(|kind| kind.stem(&name).is_some())
    }

    /// A file name without the ending of the kind; none if it has another one.
    pub fn stem(self, name: &str) -> Option<&str> {
        let lower = name.to_ascii_lowercase();
        let endings = ENDINGS.iter().filter(|(kind, _)| *kind == self).flat_map(|(_, endings)| *endings);
        let stems = endings.filter_map(|ending| lower.strip_suffix(ending)?.strip_suffix('.'));
        stems.map(|stem| &name[..stem.len()]).find(|stem| !stem.is_empty())
    }

    /// Whether files of the kind are images.
    pub fn is_image(self) -> bool {
        self <= ForeignKind::Dicom
    }

    /// Whether it is such an image of which there is a copy that can be read.
    pub fn is_converted(self, path: &Path) -> bool {
        self.is_image() && path.with_extension("png").is_file()
    }

    /// For people: `a MATLAB file`.
    pub fn name(self) -> &'static str {
        match self {
            ForeignKind::Tiff => "a TIFF image of a rarer kind, by its colours or its compression",
            ForeignKind::Avif => "an AVIF image",
            ForeignKind::Heic => "a HEIC image",
            ForeignKind::Jpeg2000 => "a JPEG 2000 image",
            ForeignKind::JpegXl => "a JPEG XL image",
            ForeignKind::Netpbm => "a Netpbm image (PGM, PPM, PBM)",
            ForeignKind::Photoshop => "a Photoshop image",
            ForeignKind::Icon => "an icon (ICO)",
            ForeignKind::Svg => "an SVG drawing",
            ForeignKind::Dicom => "a DICOM image",
            ForeignKind::Matlab => "a MATLAB file",
            ForeignKind::MatlabHdf5 => "a MATLAB file of version 7.3",
            ForeignKind::Hdf5 => "an HDF5 file",
            ForeignKind::Npy => "a single NumPy array (.npy)",
            ForeignKind::Torch => "a file of PyTorch tensors",
            ForeignKind::TorchScript => "a TorchScript model, not data",
            ForeignKind::Safetensors => "a safetensors file",
            ForeignKind::GzippedPickle => "a gzipped Python pickle",
            ForeignKind::PickledCifar => "a Python pickle of CIFAR",
            ForeignKind::Pickle => "a Python pickle",
            ForeignKind::BinaryCifar => "the binary form of CIFAR",
            ForeignKind::GitLfs => "a Git LFS pointer, not the file itself",
            ForeignKind::Zip => "a zip archive",
            ForeignKind::Tar => "a tar archive",
            ForeignKind::OtherArchive => "a compressed archive",
            ForeignKind::Arff => "an ARFF table",
            ForeignKind::Excel => "an Excel workbook",
            ForeignKind::Json => "a JSON file",
            ForeignKind::JsonLines => "a file of JSON lines",
            ForeignKind::TfRecord => "a TFRecord file",
            ForeignKind::Arrow => "an Arrow table",
            ForeignKind::Sqlite => "an SQLite database",
            ForeignKind::Html => "an HTML page, perhaps of a download that failed",
            ForeignKind::Pdf => "a PDF document",
            ForeignKind::Npz => "a NumPy archive, not images, IDX or CSV",
            ForeignKind::Parquet => "a Parquet table, not images, IDX or CSV",
        }
    }

    /// For people, of that many: `18 AVIF images`.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub fn count_text(self, count: usize) -> String {
        let name = self.name();
        let name = name.strip_prefix("an ").or_else(|| name.strip_prefix("a ")).unwrap_or(name);
        match count {
            1 => format!("1 {name}"),
            _ => {
                let noun = ["image", "drawing", "icon"].into_iter().find(|noun| name.contains(noun));
                let noun = noun.unwrap_or(name);
                format!("{count} {}", name.replacen(noun, &format!("{noun}s"), 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted() {
        assert_eq!(ForeignKind::Icon.count_text(12), "12 icons (ICO)");
        assert_eq!(ForeignKind::Netpbm.count_text(2), "2 Netpbm images (PGM, PPM, PBM)");
        assert_eq!(ForeignKind::Svg.count_text(1), "1 SVG drawing");
        for (kind, _) in ENDINGS.iter().filter(|(kind, _)| kind.is_image()) {
            assert_ne!(kind.count_text(2)[2..], kind.count_text(1)[2..]);
        }
    }
}
