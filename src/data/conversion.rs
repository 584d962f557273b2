//! What to do about a file of a kind that fitch does not read: mostly a line of Python that converts it. The
//! lines were tried on such files. They have no single quotes, so that a shell takes them between such ones.

mod arrays;
mod neighbours;
mod pickles;
mod pictures;
mod python;
mod tables;

#[cfg_attr(not(feature = "images"), allow(unused_imports))]
pub(super) use pictures::by_table;
#[cfg_attr(not(feature = "parquet"), allow(unused_imports))]
pub(super) use python::quoted;

use super::Fault;
use super::foreign_kind::ForeignKind;
use std::path::Path;

impl ForeignKind {
    /// The fault of a file or a folder of such files.
    pub fn fault(self, path: &Path) -> Fault {
        Fault::ForeignKind { kind: self.name(), remedy: self.remedy(path) }
    }

    /// The fault of such images in a folder, as `images` counts them.
    pub fn fault_of_folder(self, folder: &Path, images: String) -> Fault {
        Fault::ForeignImages { images, remedy: self.remedy_of_folder(folder) }
    }

    /// What to do about such images in a folder: a line of Python.
    pub fn remedy_of_folder(self, folder: &Path) -> String {
        format!("this line of Python converts them: {}", pictures::of_folder(self, folder))
    }

    /// The same in a few words.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub fn short_remedy(self) -> String {
        format!("Python's {} can make them PNG files", pictures::packages(self))
    }

    /// What to do about it: mostly a line of Python.
    pub fn remedy(self, path: &Path) -> String {
        match self.instruction() {
            Some(instruction) if !self.is_tar(path) => instruction.to_string(),
            _ => format!("this line of Python converts it: {}", self.python(path)),
        }
    }

    /// What to do where Python is no help.
    fn instruction(self) -> Option<&'static str> {
        match self {
            ForeignKind::GitLfs => Some("`git lfs pull` in the repository fetches the file itself"),
            ForeignKind::TorchScript => Some("name a file or folder of images or a table"),
            ForeignKind::Html => Some("fetch the file again"),
            ForeignKind::Pdf => Some("save its images or its table as files"),
            ForeignKind::OtherArchive => Some("unpack it, and name the folder"),
            _ => None,
        }
    }

    /// Whether it is an archive by its name, which is compressed in a way that fitch does not know.
    fn is_tar(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self == ForeignKind::OtherArchive && ForeignKind::Tar.stem(&name).is_some()
    }

    fn python(self, path: &Path) -> String {
        use ForeignKind::*;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = || {
            let stem = self.stem(&name).map(str::to_string);
            stem.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        };
        match self {
            Matlab => arrays::matlab(path),
            MatlabHdf5 => arrays::matlab_7_3(path),
            Hdf5 => arrays::hdf5(path),
            Npy => arrays::npy(path),
            Torch => arrays::torch(path),
            Safetensors => arrays::safetensors(path),
            PickledCifar => arrays::pickled_cifar(path),
            BinaryCifar => arrays::binary_cifar(path),
            GzippedPickle => pickles::pickle(path, &stem(), true),
            Pickle => pickles::pickle(path, &stem(), false),
            Zip => tables::zip(path),
            Tar | OtherArchive => tables::tar(path),
            Arff => tables::arff(path),
            Excel => tables::pandas("read_excel", path, ""),
            Json => tables::pandas("read_json", path, ""),
            JsonLines => tables::pandas("read_json", path, ", lines=True"),
            TfRecord => tables::tf_record(path),
            Arrow => tables::arrow(path),
            Sqlite => tables::sqlite(path),
            Npz => tables::npz_to_classify(path),
            Parquet => tables::parquet_to_classify(path),
            _ => pictures::of_file(self, path),
        }
    }
}

#[cfg(test)]
mod tests;
