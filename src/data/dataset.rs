//! A data set: images to train on, to validate and to test with, and the names of their classes.

use super::{Fault, Images, Samples, TableForm, ranges};
use anyhow::{Result, bail, ensure};
use tch::{Kind, Tensor};

/// An image in 8-bit colour, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbImage {
    /// Height and width.
    pub size: [usize; 2],
    /// Red, green and blue, pixel by pixel, row by row.
    pub pixels: Vec<[u8; 3]>,
}

impl RgbImage {
    /// An image [height, width] or [3, height, width] of values from 0 to 1; what is beyond ends there. None for
    /// anything but images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn of(image: &Tensor) -> Result<Option<RgbImage>> {
        let size = match image.size()[..] {
            [height, width] | [3, height, width] => [height as usize, width as usize],
            _ => return Ok(None),
        };
        let values: Vec<f64> = Vec::try_from(image.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
        let area = size[0] * size[1];
        let byte = |value: f64| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let channel = |pixel: usize, channel: usize| byte(values[(channel * area + pixel) % values.len()]);
        let pixels = (0..area).map(|pixel| [0, 1, 2].map(|index| channel(pixel, index))).collect();
        Ok(Some(RgbImage { size, pixels }))
    }
}

/// Where the test images of a set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestOrigin {
    /// The data have a test set.
    Own,
    /// They were set aside from images without one.
    SetAside,
    /// They are all images there are: training images, too.
    All,
}

/// A set of images to train on, one to test with, and the names of their classes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dataset {
    /// A short name, for people and file names.
    pub name: String,
    /// The training images; validation images are split off from these if the data have none.
    pub train: Images,
    /// Validation images, if the data come with some.
    pub validation: Option<Images>,
    /// The test images: for the end, never for a decision during training.
    pub test: Images,
    /// Where the test images come from.
    pub test_origin: TestOrigin,
    /// The name of each class.
    pub classes: Vec<String>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// What users should know about how it was read.
    pub notes: Vec<String>,
    /// The files, rows and folders that could not be read and are left out, each with the reason.
    pub left_out: Vec<String>,
    /// How rows become images, if they were read from a table.
    pub table: Option<TableForm>,
}

impl Dataset {
    /// The training images as samples: pixels scaled to 0..1, labels as int64 targets.
    ///
    /// # Errors
    /// Too little memory.
    pub fn train_samples(&self) -> Result<Samples> {
        self.samples(&self.train)
    }

    /// The validation images of the data's own as samples, likewise.
    ///
    /// # Errors
    /// Too little memory.
    pub fn validation_samples(&self) -> Result<Option<Samples>> {
        self.validation.as_ref().map(|images| self.samples(images)).transpose()
    }

    /// The test images as samples, likewise.
    ///
    /// # Errors
    /// Too little memory.
    pub fn test_samples(&self) -> Result<Samples> {
        self.samples(&self.test)
    }

    /// How bright the border of the training images is: the mean of its pixels, from 0 to 1, over the first
    /// thousand images; 0.5 if it differs much from image to image, 0 for anything but images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn border(&self) -> Result<f64> {
        const IMAGES: usize = 1_000;
        let pixels = self.train.slice(0, IMAGES)?;
        let axes = pixels.dim() as i64;
        if axes < 3 {
            return Ok(0.0);
        }
        let mut border = Vec::new();
        for axis in [axes - 2, axes - 1] {
            for end in [0, pixels.size()[axis as usize] - 1] {
                border.push(pixels.f_select(axis, end)?.f_flatten(1, -1)?);
            }
        }
        let of_each =
            Tensor::f_cat(&border, 1)?.f_to_kind(Kind::Double)?.f_mean_dim(1, false, Kind::Double)?;
        let of_each = of_each.f_div_scalar(self.maximum)?;
        let mean = f64::try_from(of_each.f_mean(Kind::Double)?)?;
        let spread = f64::try_from((&of_each - mean).f_square()?.f_mean(Kind::Double)?)?.sqrt();
        // Neither dark nor bright if some are the one and some the other.
        Ok(if spread > MAX_BORDER_SPREAD { 0.5 } else { mean })
    }

    /// Whether rows are features of different ranges, which a network learns from once they are standardised,
    /// rather than images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn has_mixed_ranges(&self) -> Result<bool> {
        ranges::are_mixed(&self.train)
    }

    /// The files that images are mapped from and that have changed since, each with its length and times as
    /// they are now. Cheap; a file that was only touched counts as changed, and
    /// [`fingerprint`](Dataset::fingerprint) then says that it was not.
    pub fn changed_files(&self) -> Vec<String> {
        self.splits().filter_map(|(_, images)| images.changed_file()).collect()
    }

    /// The splits that there are, with their names: `train`, `validation`, `test`.
    pub fn splits(&self) -> impl Iterator<Item = (&'static str, &Images)> {
        let splits = [
            ("train", Some(&self.train)),
            ("validation", self.validation.as_ref()),
            ("test", Some(&self.test)),
        ];
        splits.into_iter().filter_map(|(name, images)| Some((name, images?)))
    }

    /// An image for display; none for anything but images.
    ///
    /// # Errors
    /// An index beyond the images, or too little memory.
    pub fn rgb_image(&self, images: &Images, index: usize) -> Result<Option<RgbImage>> {
        let image = images.gather(&[index as i64])?.f_to_kind(Kind::Double)?.f_div_scalar(self.maximum)?;
        RgbImage::of(&image.f_squeeze_dim(0)?)
    }

    /// Only the images of these classes, whose indices follow the order of the names. Pixels are not copied.
    ///
    /// # Errors
    /// [`Fault::UnknownClass`]; a class named twice, fewer than two, or a split without images of these
    /// classes.
    pub fn keep_classes(self, names: &[String]) -> Result<Dataset> {
        let mut index_of = vec![None; self.classes.len()];
        for (index, name) in names.iter().enumerate() {
            let Some(class) = self.classes.iter().position(|class| class == name) else {
                let fault = Fault::UnknownClass { class: name.clone(), classes: self.classes };
                return Err(anyhow::Error::new(fault).context(self.name));
            };
            ensure!(index_of[class].is_none(), "the class {name} is named twice");
            index_of[class] = Some(index as i64);
        }
        ensure!(names.len() > 1, "a classifier needs at least two classes");
        let keep = |images: &Images| {
            let kept = |row: &i64| index_of[images.labels()[*row as usize] as usize].is_some();
            let kept = images.choose(&(0..images.len() as i64).filter(kept).collect::<Vec<_>>());
            let labels = kept.labels().iter().filter_map(|&label| index_of[label as usize]).collect();
            kept.with_labels(labels)
        };
        let (train, test) = (keep(&self.train), keep(&self.test));
        let validation = self.validation.as_ref().map(keep);
        let splits = [("test", Some(&test)), ("validation", validation.as_ref())];
        for (split, images) in splits {
            let is_empty = images.is_some_and(Images::is_empty);
            ensure!(!is_empty, "{} has no {split} image of the classes {}", self.name, names.join(", "));
        }
        Ok(Dataset { train, validation, test, classes: names.to_vec(), ..self })
    }

    /// The same images to be tested with a model of these classes: the data may have some of them only, or
    /// number them. The data as they are, if their classes are others.
    pub fn with_classes_of(self, classes: &[String]) -> Dataset {
        let by_name = |name: &String| classes.iter().position(|class| class == name);
        let by_number = |name: &String| name.parse().ok().filter(|&index: &usize| index < classes.len());
        let all = |index_of: &dyn Fn(&String) -> Option<usize>| -> Option<Vec<i64>> {
            self.classes.iter().map(|name| Some(index_of(name)? as i64)).collect()
        };
        if self.classes.len() > classes.len() || self.classes == classes {
            return self;
        }
        // The same classes may come in another order: earlier versions sorted numbers as words.
        let is_part = self.classes.len() < classes.len();
        let index_of = all(&by_name).or_else(|| if is_part { all(&by_number) } else { None });
        let Some(index_of) = index_of else { return self };
        let renamed = |images: Images| {
            let labels = images.labels().iter().map(|&label| index_of[label as usize]).collect();
            images.with_labels(labels)
        };
        Dataset {
            train: renamed(self.train),
            validation: self.validation.map(renamed),
            test: renamed(self.test),
            classes: classes.to_vec(),
            ..self
        }
    }

    /// The same with test images of as many channels as a model takes: grey ones in colour, each value three
    /// times; coloured ones in grey, by their brightness.
    ///
    /// # Errors
    /// Too little memory.
    pub fn with_test_channels_of(self, shape: &[i64]) -> Result<Dataset> {
        Ok(Dataset { test: self.test.with_channels_of(shape)?, ..self })
    }

    /// The same of all images.
    ///
    /// # Errors
    /// As there.
    pub fn with_channels_of(self, shape: &[i64]) -> Result<Dataset> {
        let whole = self.with_test_channels_of(shape)?;
        Ok(Dataset {
            train: whole.train.with_channels_of(shape)?,
            validation: whole.validation.map(|images| images.with_channels_of(shape)).transpose()?,
            ..whole
        })
    }

    /// Whether there is something to learn: several classes, each with a training image. Images that are
    /// there to be tested alone may be of any.
    pub(super) fn check_classes(&self) -> Result<()> {
        if self.test_origin == TestOrigin::All {
            return Ok(());
        }
        if let [only] = self.classes.as_slice() {
            bail!("has one class alone, {only}; a classifier needs at least two");
        }
        let counts = self.train.class_counts(self.classes.len());
        match self.classes.iter().zip(counts).find(|(_, count)| *count == 0) {
            Some((class, _)) if self.train.groups().is_some() => bail!(
                "class {class} has no image to train on: its groups are set aside to test with, and groups stay whole"
            ),
            Some((class, _)) => bail!("class {class} has no image to train on"),
            None => Ok(()),
        }
    }

    /// The shape of an image.
    pub fn shape(&self) -> Vec<i64> {
        self.train.shape()
    }

    fn samples(&self, images: &Images) -> Result<Samples> {
        Ok(images.samples()?.scaled_by(self.maximum))
    }
}

/// Borders whose brightness deviates more from their mean say nothing about another image's.
const MAX_BORDER_SPREAD: f64 = 0.2;
