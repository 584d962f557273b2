//! What ends training early, by the configuration.

use crate::config::{Configuration, Stopping as Rule};
use fitch::train::Stopping;
use fitch::train::callbacks::{EarlyStopping, TheanoPatience};

/// The callback that ends training early and decides which weights remain, if there is to be one.
pub fn stopper(configuration: &Configuration) -> Option<Box<dyn Stopping>> {
    let Configuration { monitor, keep_last_weights, .. } = configuration;
    match configuration.stopping {
        Rule::Never => None,
        Rule::Patience(settings) => {
            let stopping = EarlyStopping::new(monitor).settings(settings).mode(configuration.direction());
            Some(Box::new(if *keep_last_weights { stopping.keep_last_weights() } else { stopping }))
        }
        Rule::Theano(steps) => {
            let stopping = TheanoPatience::new(monitor, steps);
            Some(Box::new(if *keep_last_weights { stopping.keep_last_weights() } else { stopping }))
        }
    }
}
