//! The callbacks that come with fitch, one a file. Each must know only [`Training`](super::Training);
//! the rules behind them are pure and tested apart.

mod best_weights;
mod early_stopping;
mod history_file;
mod interrupt;
mod learning_rate_schedule;
mod patience;
mod reduce_learning_rate;
mod step_schedule;
mod terminate_on_nan;
mod theano_patience;
mod time_limit;

pub(crate) use best_weights::BestWeights;
pub use early_stopping::EarlyStopping;
pub use history_file::{CsvForm, HistoryFile};
pub use interrupt::StopOnRequest;
pub use learning_rate_schedule::LearningRateSchedule;
pub use patience::{Best, EarlyStoppingSettings};
use patience::{PatienceRule, Verdict};
pub use reduce_learning_rate::ReduceLearningRateOnPlateau;
pub use step_schedule::{ScheduleShape, StepSchedule};
pub use terminate_on_nan::TerminateOnNan;
pub use theano_patience::TheanoPatience;
pub use time_limit::TimeLimit;
