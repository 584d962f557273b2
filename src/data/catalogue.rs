//! The data sets that can be fetched by name: their addresses, digests and classes. Pure facts;
//! `download` fetches them.

use super::Progress;
use super::digest::Digest;
#[cfg(feature = "download")]
use super::download;
use super::formats::idx::{IDX_FILES, find_file};
use anyhow::{Context, Result};
use std::path::Path;

/// The image shape of every set here.
pub const SHAPE: [i64; 2] = [28, 28];

/// A set in four IDX files, offered gzipped by public mirrors.
#[derive(Debug, PartialEq)]
pub struct KnownSet {
    /// Its name, and that of its folder below the data folder.
    pub name: &'static str,
    /// The names of the classes.
    pub classes: [&'static str; 10],
    /// Folders on the web that hold the four files, the first one preferred.
    pub mirrors: &'static [&'static str],
    /// The digests of the four files, in the order of [`IDX_FILES`].
    pub digests: [Digest; 4],
}

/// All of them.
pub static KNOWN: [KnownSet; 3] = [
    KnownSet {
        name: "mnist",
        classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        mirrors: &[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ],
        digests: [
            Digest::OfContent("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            Digest::OfContent("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            Digest::OfContent("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            Digest::OfContent("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ],
    },
    KnownSet {
        name: "fashion-mnist",
        classes: [
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        mirrors: &[
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        digests: [
            Digest::OfFile("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            Digest::OfFile("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            Digest::OfFile("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            Digest::OfFile("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ],
    },
    KnownSet {
        name: "kmnist",
        classes: ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        mirrors: &["https://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        digests: [
            Digest::OfFile("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            Digest::OfFile("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            Digest::OfFile("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            Digest::OfFile("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ],
    },
];

/// Every name of a data set, the built-in one first.
pub fn names() -> Vec<&'static str> {
    std::iter::once("digits").chain(KNOWN.iter().map(|set| set.name)).collect()
}

impl KnownSet {
    /// The set of that name.
    pub fn named(name: &str) -> Option<&'static KnownSet> {
        KNOWN.iter().find(|set| set.name == name)
    }

    /// Fetches those of the four files that `folder` lacks. Files that are there are left as they are.
    ///
    /// # Errors
    /// No mirror gave a file with the right digest. The message says which files to put where by hand.
    pub fn fetch_missing(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        for (name, digest) in IDX_FILES.iter().zip(&self.digests) {
            if find_file(folder, name).is_some() {
                continue;
            }
            let file = format!("{name}.gz");
            let addresses: Vec<String> =
                self.mirrors.iter().map(|mirror| format!("{mirror}{file}")).collect();
            download::fetch(&addresses, &folder.join(&file), digest, progress).with_context(|| {
                format!(
                    "cannot fetch {}; without a network, put {} (raw or .gz) into {}",
                    self.name,
                    IDX_FILES.join(", "),
                    folder.display()
                )
            })?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "download"))]
mod download {
    use super::*;

    pub fn fetch(_: &[String], _: &Path, _: &Digest, _: &mut dyn FnMut(Progress)) -> Result<()> {
        anyhow::bail!("this build of fitch has no feature 'download'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mirror_is_reached_over_tls() {
        for set in &KNOWN {
            for mirror in set.mirrors {
                assert!(mirror.starts_with("https://") && mirror.ends_with('/'), "{mirror}");
            }
        }
    }

    #[test]
    fn names_find_their_sets() {
        assert_eq!(names(), ["digits", "mnist", "fashion-mnist", "kmnist"]);
        assert_eq!(KnownSet::named("kmnist").unwrap().classes[9], "wo");
        assert!(KnownSet::named("digits").is_none(), "digits is built in, not fetched");
    }
}
