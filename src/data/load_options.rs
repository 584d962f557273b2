//! How data are loaded.

#[cfg(feature = "images")]
use super::resizing::Resizing;
use super::{Fault, GroupBy, ImageFit, Missing, PixelOrder, Progress, TableForm};
use anyhow::Result;
use std::path::PathBuf;

/// How data are loaded. The default loads all of a set, with its own split or a tenth set aside as the test
/// set.
///
/// ```
/// # fn load(folder: &std::path::Path) -> anyhow::Result<()> {
/// use fitch::data::{LoadOptions, Source};
///
/// let options = LoadOptions::default().image_size(64, 64).skip_bad().test_share(0.2);
/// let flowers = Source::find("flowers/")?.load_with(&options, &mut |progress| println!("{progress:?}"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Where fetched sets and decoded images are kept; none means [`default_folder`].
    pub data_dir: Option<PathBuf>,
    /// Height and width that images in folders and Parquet files are scaled to.
    pub image_size: Option<[u32; 2]>,
    /// What of an image comes into that size.
    pub image_fit: ImageFit,
    /// Whether images that cannot be read are left out.
    pub skips_bad: bool,
    /// Validation images from another folder or file.
    pub validation: Option<PathBuf>,
    /// The share of a set without a test set that is set aside as one; none means [`TEST_SHARE`].
    pub test_share: Option<f64>,
    /// The column of a table that holds the labels, by name or by index from 0.
    pub label_column: Option<String>,
    /// What says which images belong together: every split keeps these on one side.
    pub group_by: Option<GroupBy>,
    /// The names of the classes to keep; none means all.
    pub classes: Option<Vec<String>>,
    /// The value that becomes 1.0; none means what suits the training images. Images in files of their own
    /// whose values are bytes are always divided by 255.
    pub maximum: Option<f64>,
    /// The value that became 1.0 in the images of a model that these are for. It holds for these, too; but
    /// bytes, and floats up to 1 that bytes were made of, stand for one another.
    pub model_maximum: Option<f64>,
    /// Whether rows and columns are exchanged; none means for EMNIST, which is known by the names of its
    /// files.
    pub transposes: Option<bool>,
    /// Whether all images of a set without a test set are test images: it is to be evaluated, not trained on.
    pub tests_all: bool,
    /// What becomes of missing values in tables.
    pub missing: Missing,
    /// The order of the values in rows that are images in colour; none means [`PixelOrder::Hwc`], noted.
    pub pixel_order: Option<PixelOrder>,
    /// How rows of tables become images for a model that is there already.
    pub table: Option<TableForm>,
}

/// The share of the images that is set aside as the test set if there is none.
pub const TEST_SHARE: f64 = 0.1;

/// Is called with each [`Progress`] while data are fetched and decoded.
pub(super) type OnProgress<'a> = &'a mut dyn FnMut(Progress);

impl LoadOptions {
    /// The default options with another folder for fetched sets and decoded images.
    pub fn with_data_dir(data_dir: impl Into<PathBuf>) -> LoadOptions {
        LoadOptions { data_dir: Some(data_dir.into()), ..LoadOptions::default() }
    }

    /// Scales images in folders and Parquet files to this size.
    pub fn image_size(self, height: u32, width: u32) -> LoadOptions {
        LoadOptions { image_size: Some([height, width]), ..self }
    }

    /// What of an image comes into that size.
    pub fn image_fit(self, fit: ImageFit) -> LoadOptions {
        LoadOptions { image_fit: fit, ..self }
    }

    /// Leaves out images that cannot be read; the notes of the [`Dataset`](super::Dataset) say how many.
    pub fn skip_bad(self) -> LoadOptions {
        LoadOptions { skips_bad: true, ..self }
    }

    /// Takes the validation images from another folder or file.
    pub fn validation(self, path: impl Into<PathBuf>) -> LoadOptions {
        LoadOptions { validation: Some(path.into()), ..self }
    }

    /// Sets aside this share of the images as the test set if there is none.
    pub fn test_share(self, share: f64) -> LoadOptions {
        LoadOptions { test_share: Some(share), ..self }
    }

    /// Takes the labels from this column of a table, by name or by index from 0.
    pub fn label_column(self, column: impl Into<String>) -> LoadOptions {
        LoadOptions { label_column: Some(column.into()), ..self }
    }

    /// Keeps images that belong together on one side of every split.
    pub fn group_by(self, group_by: GroupBy) -> LoadOptions {
        LoadOptions { group_by: Some(group_by), ..self }
    }

    /// Keeps these classes only, in this order.
    pub fn classes(self, names: impl IntoIterator<Item = impl Into<String>>) -> LoadOptions {
        LoadOptions { classes: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Scales values so that this one becomes 1.0.
    pub fn maximum(self, maximum: f64) -> LoadOptions {
        LoadOptions { maximum: Some(maximum), ..self }
    }

    /// What becomes of missing values in tables.
    pub fn missing(self, missing: Missing) -> LoadOptions {
        LoadOptions { missing, ..self }
    }

    /// The order of the values in rows of tables that are images in colour.
    pub fn pixel_order(self, order: PixelOrder) -> LoadOptions {
        LoadOptions { pixel_order: Some(order), ..self }
    }

    /// Reads rows of tables as those that a model was trained on.
    pub fn table(self, form: TableForm) -> LoadOptions {
        LoadOptions { table: Some(form), ..self }
    }

    /// The settings that decide how encoded images are decoded, for the cache.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub(super) fn decoding_key(&self) -> [(&'static str, String); 2] {
        let fit = if self.image_fit.is_stretch() { "" } else { self.image_fit.keyword() };
        let size = self.image_size.map_or(String::new(), |[height, width]| format!("{height}x{width}{fit}"));
        [("image_size", size), ("skips_bad", self.skips_bad.to_string())]
    }

    /// How images are resized, if they are.
    #[cfg(feature = "images")]
    pub(super) fn resizing(&self) -> Option<Resizing> {
        self.image_size.map(|size| Resizing { size, fit: self.image_fit })
    }

    /// The folder for fetched sets and decoded images.
    ///
    /// # Errors
    /// [`Fault::NoCacheFolder`]: none was chosen, and there is no default.
    pub fn folder(&self) -> Result<PathBuf> {
        Ok(self.data_dir.clone().or_else(default_folder).ok_or(Fault::NoCacheFolder)?)
    }
}

/// Where fetched sets and decoded images are kept by default: `FITCH_DATA_DIR`, else the user's cache folder;
/// none without that variable and a home folder.
pub fn default_folder() -> Option<PathBuf> {
    let from_environment = std::env::var_os("FITCH_DATA_DIR").filter(|folder| !folder.is_empty());
    from_environment.map(PathBuf::from).or_else(|| Some(user_cache_folder()?.join("fitch")))
}

/// `$XDG_CACHE_HOME` or `~/.cache`, by the XDG Base Directory Specification; `~/Library/Caches` on macOS,
/// `%LOCALAPPDATA%` on Windows.
fn user_cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let below_home = |folder| Some(std::env::home_dir().filter(|home| home.is_absolute())?.join(folder));
    if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        below_home("Library/Caches")
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| below_home(".cache"))
    }
}
