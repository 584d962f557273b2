//! What ends a training early, as the configuration has it.

use crate::config::{Configuration, Stopping};
use fitch::train::Callback;
use fitch::train::callbacks::{Best, EarlyStopping, TheanoPatience};

/// What ends training early and decides which weights remain.
pub enum Stopper {
    Never,
    Patience(EarlyStopping),
    Theano(TheanoPatience),
}

impl Stopper {
    pub fn new(configuration: &Configuration) -> Stopper {
        let Configuration { monitor, keep_last_weights, .. } = configuration;
        match configuration.stopping {
            Stopping::Never => Stopper::Never,
            Stopping::Patience(settings) => {
                let stopping = EarlyStopping::new(monitor).settings(settings).mode(configuration.direction());
                Stopper::Patience(if *keep_last_weights { stopping.keep_last_weights() } else { stopping })
            }
            Stopping::Theano(steps) => {
                let stopping = TheanoPatience::new(monitor, steps);
                Stopper::Theano(if *keep_last_weights { stopping.keep_last_weights() } else { stopping })
            }
        }
    }

    pub fn callback(&mut self) -> Option<&mut dyn Callback> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => Some(stopping),
            Stopper::Theano(stopping) => Some(stopping),
        }
    }

    pub fn best(&self) -> Option<Best> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => stopping.best(),
            Stopper::Theano(stopping) => stopping.best(),
        }
    }

    pub fn restores(&self) -> Option<usize> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => stopping.restores(),
            Stopper::Theano(stopping) => stopping.restores(),
        }
    }
}
