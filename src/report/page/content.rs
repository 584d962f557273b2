//! What a page is made from.

use super::confusion::Confusion;
use super::mistakes::{Mistake, Picture};
use crate::metrics::History;
use crate::run::RunRecord;

/// What a page tells.
pub struct PageContent<'a> {
    /// What the run is called.
    pub name: &'a str,
    /// Its settings and results.
    pub record: &'a RunRecord,
    /// Its epochs.
    pub history: &'a History,
    /// The layers of the model, as text in lines.
    pub model: &'a str,
    /// The confusion matrix of the test set, if it is known.
    pub confusion: Option<Confusion<'a>>,
    /// The test images that were classified wrongly, if they are known.
    pub mistakes: &'a [Mistake],
    /// Their pictures.
    pub picture: &'a Picture<'a>,
    /// A script that runs after the page's own.
    pub script: &'a str,
}
