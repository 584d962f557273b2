//! The protocol between the loop and its callbacks: the loop knows no callback, and a callback knows only
//! [`Training`].

use super::{Best, SavedState, Training};
use anyhow::Result;
use std::fmt;

/// Watches and steers a training. Every method has a default that does nothing; an error ends the training at
/// once.
///
/// A callback that is only sometimes wanted can be an [`Option`], one that is chosen at run time a [`Box`].
pub trait Callback: fmt::Debug {
    /// Before the first epoch, and before the first one after a pause.
    fn train_begin(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// Before the first step of an epoch.
    fn epoch_begin(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// After each step. On a CUDA device, reading a value here makes the host wait for the device.
    fn step_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// After the validation of an epoch; the history's last record is that of the epoch.
    fn epoch_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// When training ends for any reason but an error.
    fn train_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// The name under which a checkpoint keeps the state; a callback without state has none.
    fn state_name(&self) -> Option<&'static str> {
        None
    }

    /// The state that has to survive a pause, settings excluded.
    fn save(&self) -> Result<SavedState> {
        Ok(SavedState::default())
    }

    /// Goes on from what [`Callback::save`] returned; called after `train_begin`.
    fn load(&mut self, _saved: SavedState) -> Result<()> {
        Ok(())
    }
}

/// A callback that ends training early and decides which weights remain.
pub trait Stopping: Callback {
    /// The best epoch so far, and its value.
    fn best(&self) -> Option<Best>;

    /// The epoch whose weights are restored when training ends, if any are.
    fn restored_epoch(&self) -> Option<usize>;
}

/// Forwards every method to another callback, or does nothing without one.
macro_rules! forward {
    ($self:ident => $inner:expr, $inner_mut:expr) => {
        fn train_begin(&mut $self, training: &mut Training) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.train_begin(training))
        }

        fn epoch_begin(&mut $self, training: &mut Training) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.epoch_begin(training))
        }

        fn step_end(&mut $self, training: &mut Training) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.step_end(training))
        }

        fn epoch_end(&mut $self, training: &mut Training) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.epoch_end(training))
        }

        fn train_end(&mut $self, training: &mut Training) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.train_end(training))
        }

        fn state_name(&$self) -> Option<&'static str> {
            $inner.and_then(|callback| callback.state_name())
        }

        fn save(&$self) -> Result<SavedState> {
            $inner.map_or(Ok(SavedState::default()), |callback| callback.save())
        }

        fn load(&mut $self, saved: SavedState) -> Result<()> {
            $inner_mut.map_or(Ok(()), |callback| callback.load(saved))
        }
    };
}

impl<C: Callback> Callback for Option<C> {
    forward!(self => self.as_ref(), self.as_mut());
}

impl<C: Callback + ?Sized> Callback for Box<C> {
    forward!(self => Some(&**self), Some(&mut **self));
}
