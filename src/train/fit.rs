//! A training to run: its settings, and the loop.

use super::fault::{self, Fault};
use super::gradients::Gradients;
use super::settings::Settings;
use super::sharing::Sharing;
use super::transform::Transform;
use super::{Callback, Checkpoint, CheckpointStore, Newest, Outcome, Training};
use crate::data::{Batch, BatchSource, MixedBatch};
use crate::distributed::Group;
use crate::metrics::{Loss, Metric};
use crate::model::{Backpropagation, Network};
use crate::optim::Optimizer;
use anyhow::{Result, ensure};
use tch::nn::{ModuleT, VarStore};
use tch::{Kind, Tensor};

/// A training to run: what is trained, how, and for how long.
///
/// ```
/// use fitch::{data::Samples, optim::{Optimizer, keras_adam}, train::{Fit, callbacks::EarlyStopping}};
/// use tch::{Device, Kind, Tensor, nn};
///
/// # fn main() -> anyhow::Result<()> {
/// tch::manual_seed(0);
/// let inputs = Tensor::rand([200, 2], (Kind::Float, Device::Cpu));
/// let labels = inputs.select(1, 0).gt_tensor(&inputs.select(1, 1)).to_kind(Kind::Int64);
/// let (train, validation) = (Samples::new(&inputs, &labels)?, Samples::new(&inputs, &labels)?);
///
/// let variables = nn::VarStore::new(Device::Cpu);
/// let model = nn::linear(variables.root(), 2, 2, Default::default());
/// let mut stopping = EarlyStopping::new("val_loss").patience(3);
/// let outcome = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.1)?)
///     .epochs(30)
///     .callback(&mut stopping)
///     .run(&train, Some(&validation))?;
/// assert!(outcome.history.epochs.last().unwrap().metrics["val_accuracy"] > 0.9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fit<'a> {
    settings: Settings<'a>,
    /// What is trained, if it can have gradients of its own.
    network: Option<&'a Network>,
    seed: u64,
    group: Option<&'a Group>,
    shards: Option<usize>,
    callbacks: Vec<&'a mut dyn Callback>,
    store: Option<&'a mut dyn CheckpointStore>,
    start: Start,
}

/// Where a training begins.
#[derive(Debug)]
enum Start {
    Fresh,
    Checkpoint(Checkpoint),
    /// The newest checkpoint of the store; a fresh start, if there is none.
    Newest,
}

impl Start {
    /// The checkpoint to continue from.
    fn checkpoint(self, store: &mut Option<&mut dyn CheckpointStore>) -> Result<Newest> {
        match (self, store) {
            (Start::Checkpoint(checkpoint), _) => {
                Ok(Newest { checkpoint: Some(checkpoint), ..Newest::default() })
            }
            (Start::Newest, Some(store)) => {
                let mut newest = store.newest()?;
                match (&newest.checkpoint, newest.damaged.pop()) {
                    (None, Some(fault)) => Err(fault.context("no checkpoint can be read")),
                    (_, last) => {
                        newest.damaged.extend(last);
                        Ok(newest)
                    }
                }
            }
            _ => Ok(Newest::default()),
        }
    }
}

impl<'a> Fit<'a> {
    /// Trains any module, with libtorch's autograd. As a classifier, unless other methods say otherwise:
    /// cross-entropy of its logits as loss, accuracy as metric, batches of 128, one epoch, seed 0. The
    /// `variables` are those of the module, and the optimizer was made from them after it.
    pub fn new(model: &'a dyn ModuleT, variables: &'a VarStore, optimizer: Optimizer) -> Fit<'a> {
        let settings = Settings {
            model,
            variables,
            optimizer,
            gradients: None,
            loss: Loss::cross_entropy(),
            validation_loss: None,
            transform: None,
            metrics: vec![Metric::accuracy()],
            epochs: 1,
            batch_size: 128,
            accumulate: 1,
            ema: None,
        };
        Fit {
            settings,
            network: None,
            seed: 0,
            group: None,
            shards: None,
            callbacks: Vec::new(),
            store: None,
            start: Start::Fresh,
        }
    }

    /// Trains a network by its own gradients where it has them, which is faster than autograd on a CPU;
    /// otherwise as [`Fit::new`].
    ///
    /// ```
    /// use fitch::{data::Source, model::{Layers, Model, Network}, optim::Optimizer, train::Fit};
    /// use tch::{Device, nn};
    ///
    /// # fn main() -> anyhow::Result<()> {
    /// let digits = Source::find("digits")?.load()?.train_samples()?;
    /// let model = Model::classifier(&[8, 8], Layers::parse("dense 32, relu")?, 10)?;
    /// let network = Network::new(model, Device::Cpu)?;
    /// let optimizer = Optimizer::new(network.variables(), nn::Adam::default(), 0.01)?;
    /// let outcome = Fit::network(&network, optimizer).epochs(2).run(&digits, None)?;
    /// assert!(outcome.history.epochs[1].metrics["accuracy"] > 0.5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn network(network: &'a Network, optimizer: Optimizer) -> Fit<'a> {
        Fit { network: Some(network), ..Fit::new(network, network.variables(), optimizer) }
    }

    /// The number of epochs: how often training goes through all samples.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.settings.epochs = epochs;
        self
    }

    /// The number of samples in a batch, which makes a step unless [`accumulate`](Fit::accumulate) says otherwise.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.settings.batch_size = batch_size;
        self
    }

    /// Makes a step of several batches: their gradients are added, each by its share of the samples, before the weights
    /// move once. This equals one batch of all their samples, but for layers and losses that look at a batch as a whole:
    /// batch normalisation and class weights see one batch at a time. The last step of an epoch takes the batches that
    /// are left.
    ///
    /// Everything that counts steps counts these, and a training pauses and stops between them. This needs an optimizer
    /// whose state can be saved.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.settings.accumulate = batches;
        self
    }

    /// Keeps an exponential mean of the weights, moved after each step by `mean = decay * mean + (1 - decay) * weight`,
    /// and of buffers such as running means. In step n, counted from 1, the decay is n / (n + 9) as long as that is
    /// less, so that the mean is of about the last tenth of the steps at first.
    ///
    /// The mean is what is validated, what [`Training::weights`] gives to callbacks that keep the best weights, and what
    /// the variables hold when training ends. Until then they hold the weights that are trained, and so does the state
    /// of the optimizer in the [`Outcome`]. Checkpoints have both. Metrics of training are those of the trained weights.
    pub fn ema(mut self, decay: f64) -> Self {
        self.settings.ema = Some(decay);
        self
    }

    /// The seed of the samples' order and, through libtorch's global random state, of dropout. The initial
    /// weights are drawn before: call [`tch::manual_seed`] before the model is made.
    pub fn seed(self, seed: u64) -> Self {
        Fit { seed, ..self }
    }

    /// Trains in the processes of a group, each of which makes the same calls with the same data: the batch size
    /// remains that of all together. The first process keeps the checkpoints, and its weights and its checkpoint
    /// are what all begin with. Callbacks see the same training in every process, so that those which write or
    /// print belong in the first one ([`Group::is_first`]), and those which steer in all.
    ///
    /// This needs an optimizer whose state can be saved. A variable on which the loss does not depend has a
    /// gradient of zero; running statistics are averaged over the shards of a batch.
    pub fn distributed(self, group: &'a Group) -> Self {
        Fit { group: Some(group), ..self }
    }

    /// Cuts each batch into so many shards, one for each process unless it is set here: a multiple of the number
    /// of processes. The result follows from the number of shards alone, so that a training in 4 shards is the
    /// same, byte for byte, in 1, 2 or 4 processes on CPUs of one kind.
    pub fn shards(self, shards: usize) -> Self {
        Fit { shards: Some(shards), ..self }
    }

    /// Another loss than cross-entropy.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.settings.loss = loss;
        self
    }

    /// Another loss for validation than for training, such as one without label smoothing.
    pub fn validation_loss(mut self, loss: Loss) -> Self {
        self.settings.validation_loss = Some(loss);
        self
    }

    /// Changes the inputs [b, ...] of each training batch, as augmentation does. Gradients are not recorded.
    /// What is random in it should come from libtorch's generator, which is seeded anew before each step.
    pub fn transform(mut self, transform: impl Fn(&Tensor) -> Result<Tensor> + 'a) -> Self {
        self.settings.transform = Some(Transform::of_inputs(transform));
        self
    }

    /// The same for whole batches, their targets included, which may mix samples as mixup does. The latter of the
    /// two calls counts.
    ///
    /// ```
    /// use fitch::data::{Augmentation, Batch};
    /// # use fitch::{data::Samples, optim::Optimizer, train::Fit};
    /// # use tch::{Device, Kind, Tensor, nn};
    ///
    /// # fn main() -> anyhow::Result<()> {
    /// # let images = Tensor::rand([8, 3, 4, 4], (Kind::Float, Device::Cpu));
    /// # let train = Samples::new(&images, &Tensor::zeros([8], (Kind::Int64, Device::Cpu)))?;
    /// # let variables = nn::VarStore::new(Device::Cpu);
    /// # let linear = nn::linear(variables.root(), 48, 2, Default::default());
    /// # let model = nn::seq_t().add_fn(|images| images.flatten(1, -1)).add(linear);
    /// # let optimizer = Optimizer::new(&variables, nn::Adam::default(), 0.01)?;
    /// let augmentation: Augmentation = "photos, mixup 0.2".parse()?;
    /// Fit::new(&model, &variables, optimizer)
    ///     .transform_batch(move |batch: &Batch| augmentation.apply_to_batch(batch))
    ///     .run(&train, None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn transform_batch(mut self, transform: impl Fn(&Batch) -> Result<MixedBatch> + 'a) -> Self {
        self.settings.transform = Some(Transform::of_batches(transform));
        self
    }

    /// One more metric, after accuracy.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.settings.metrics.push(metric);
        self
    }

    /// These metrics only, without accuracy: it makes no sense for a regression.
    pub fn metrics(mut self, metrics: Vec<Metric>) -> Self {
        self.settings.metrics = metrics;
        self
    }

    /// One more callback. Callbacks are called in the order in which they were added.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Keeps a checkpoint after the last epoch, when training stops within one, and when the store asks for
    /// one.
    pub fn checkpoints(self, store: &'a mut dyn CheckpointStore) -> Self {
        Fit { store: Some(store), ..self }
    }

    /// Continues from a checkpoint. With the same samples, settings and callbacks, the result is that of a
    /// training that was never paused; the number of epochs may differ.
    pub fn resume(self, checkpoint: Checkpoint) -> Self {
        Fit { start: Start::Checkpoint(checkpoint), ..self }
    }

    /// Keeps checkpoints as [`Fit::checkpoints`] does, and continues from the newest one that is there, if
    /// any: the same program starts a training, and resumes it when it is run again.
    pub fn resume_from(self, store: &'a mut dyn CheckpointStore) -> Self {
        Fit { store: Some(store), start: Start::Newest, ..self }
    }

    /// Trains with gradients that the model computes itself, instead of autograd's, over the same variables.
    /// This needs an optimizer whose state can be saved.
    pub fn backpropagation(mut self, gradients: &'a mut dyn Backpropagation) -> Self {
        self.settings.gradients = Some(Gradients::Borrowed(gradients));
        self
    }

    /// Trains. Everything random follows from the seed, so that the same call on the same machine with the
    /// same number of threads gives the same weights; libtorch's global random state is set anew before every
    /// step.
    ///
    /// Before the first step, the first batch goes through model, loss and metrics in evaluation mode, so
    /// that what does not fit together is found at once.
    ///
    /// # Errors
    /// Settings that make no sense, a callback's error, or a fault of libtorch's, also where a layer panics
    /// with it. A [`Fault`] says what a caller can do about it.
    pub fn run(self, train: &dyn BatchSource, validation: Option<&'a dyn BatchSource>) -> Result<Outcome> {
        fault::catch(|| self.run_uncaught(train, validation))
    }

    fn run_uncaught(
        self,
        train: &dyn BatchSource,
        validation: Option<&'a dyn BatchSource>,
    ) -> Result<Outcome> {
        self.check(train, validation)?;
        let device = self.settings.variables.device();
        let train = train.on_device(device)?;
        let validation = validation.map(|source| source.on_device(device)).transpose()?;
        let Fit { mut settings, network, seed, group, shards, mut callbacks, mut store, start } = self;
        let sharing = Sharing::new(group, shards, settings.batch_size)?;
        if let Some(network) = network {
            settings.gradients = gradients_of(network, &settings.optimizer)?;
        }
        let Newest { checkpoint, damaged, .. } = start.checkpoint(&mut store)?;
        let mut training = Training::begin(settings, sharing, train.len(), validation)?;
        training.try_first_batch(&*train)?;
        let checkpoint = training.begin_alike(checkpoint, seed)?;
        training.begin_mean()?;
        damaged.iter().for_each(|fault| training.note(format!("{fault:#}; going back to the one before it")));

        checkpoint.iter().try_for_each(|checkpoint| training.restore(checkpoint))?;
        callbacks.iter_mut().try_for_each(|callback| callback.train_begin(&mut training))?;
        checkpoint.iter().try_for_each(|checkpoint| checkpoint.restore_callbacks(&mut callbacks, device))?;
        for epoch in training.epochs_left() {
            training.begin_epoch(epoch)?;
            callbacks.iter_mut().try_for_each(|callback| callback.epoch_begin(&mut training))?;
            training.begin_steps();

            let mut batches = training.batches(&*train, seed, epoch)?;
            while let Some(step) = training.compute(&mut batches)? {
                let step = training.exchange(step)?; // with the other processes, if there are any
                training.update(step)?;
                callbacks.iter_mut().try_for_each(|callback| callback.step_end(&mut training))?;
                training.offer_checkpoint(&mut store, &callbacks)?;
                if training.is_stopping() {
                    break;
                }
            }
            if training.was_cut_short() {
                break;
            }

            training.end_epoch()?;
            callbacks.iter_mut().try_for_each(|callback| callback.epoch_end(&mut training))?;
            training.offer_checkpoint(&mut store, &callbacks)?;
            if training.is_stopping() {
                break;
            }
        }
        let kept = store.map_or(Ok(()), |store| store.finish());
        kept.or_else(|fault| training.without_checkpoint(fault))?;
        training.leave_mean()?;
        callbacks.iter_mut().try_for_each(|callback| callback.train_end(&mut training))?;
        Ok(training.finish())
    }

    fn check(&self, train: &dyn BatchSource, validation: Option<&dyn BatchSource>) -> Result<()> {
        let Settings { variables, optimizer, gradients, metrics, epochs, batch_size, .. } = &self.settings;
        let Settings { accumulate, ema, .. } = &self.settings;
        ensure!(*epochs > 0, "there must be at least one epoch");
        ensure!(*batch_size > 0, "a batch must hold at least one sample");
        ensure!(*accumulate > 0, "a step must have at least one batch");
        ensure!(
            ema.is_none_or(|decay| decay > 0.0 && decay < 1.0),
            "the decay of the mean of the weights must be between 0 and 1"
        );
        ensure!(!train.is_empty(), "there are no samples to train on");
        ensure!(validation.is_none_or(|samples| !samples.is_empty()), "the validation set is empty");
        ensure!(
            optimizer.state().is_some() || self.group.is_none() && self.shards.is_none(),
            "training in several processes or shards needs an optimizer whose state can be saved: Optimizer::new"
        );
        ensure!(
            optimizer.state().is_some() || *accumulate == 1,
            "a step of several batches needs an optimizer whose state can be saved: Optimizer::new"
        );
        ensure!(
            gradients.is_none() || optimizer.state().is_some(),
            "gradients of the model's own need an optimizer that takes them: Optimizer::new"
        );
        ensure!(variables.trainable_variables().iter().any(Tensor::requires_grad), Fault::NothingToTrain);
        ensure!(optimizer.is_over(variables), Fault::OtherVariables);
        let mut taken = vec!["loss", "epoch", "learning_rate", "seconds"];
        for metric in metrics {
            let Metric { name, .. } = metric;
            ensure!(
                validation.is_some() || !metric.is_of_epoch(),
                "the metric {name} needs a validation set: it is measured of all its outputs at once"
            );
            ensure!(!taken.contains(&name.as_str()), "there is more than one metric called {name}");
            ensure!(!name.starts_with("val_") && !name.is_empty(), "a metric cannot be called '{name}'");
            taken.push(name);
        }
        Ok(())
    }
}

/// A network's own gradients, if it has them and the optimizer takes them.
fn gradients_of<'a>(network: &Network, optimizer: &Optimizer) -> Result<Option<Gradients<'a>>> {
    if optimizer.state().is_some() {
        return Ok(network.backpropagation()?.map(Gradients::Owned));
    }
    ensure!(
        network.precision() == Kind::Float,
        "training in bfloat16 needs an optimizer whose state can be saved: Optimizer::new"
    );
    Ok(None)
}
