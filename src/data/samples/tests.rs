use super::*;

fn samples(n: i64) -> Samples {
    let inputs = Tensor::arange(n * 4, (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8).view([n, 2, 2]);
    Samples::new(&inputs, &Tensor::arange(n, (Kind::Int64, Device::Cpu))).unwrap()
}

fn targets(batches: Batches) -> Vec<Vec<i64>> {
    batches.map(|batch| Vec::try_from(batch.unwrap().targets).unwrap()).collect()
}

#[test]
fn the_last_smaller_batch_is_kept() {
    assert_eq!(targets(samples(7).batches(3).unwrap()), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(samples(7).batches(3).unwrap().len(), 3);
    assert_eq!(samples(6).batches(3).unwrap().len(), 2);
}

#[test]
fn batches_can_begin_later() {
    assert_eq!(targets(samples(7).batches(3).unwrap().after(1)), [vec![3, 4, 5], vec![6]]);
    assert!(targets(samples(7).batches(3).unwrap().after(3)).is_empty());
}

#[test]
fn inputs_are_gathered_with_their_targets_and_scaled() {
    let samples = samples(5).scaled_by(16.0).choose(&[3, 1]).unwrap();
    let batch = samples.batches(10).unwrap().next().unwrap().unwrap();
    assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), [3, 1]);
    assert_eq!(batch.inputs.size(), [2, 2, 2]);
    let values: Vec<f32> = Vec::try_from(batch.inputs.view([-1])).unwrap();
    assert_eq!(values, [12.0, 13.0, 14.0, 15.0, 4.0, 5.0, 6.0, 7.0].map(|v: f32| v / 16.0));
}

#[test]
fn every_epoch_has_an_order_of_its_own_that_the_seed_repeats() {
    let samples = samples(50).choose(&(10..50).collect::<Vec<_>>()).unwrap();
    let order = |seed, epoch| targets(samples.shuffled_batches(16, seed, epoch).unwrap()).concat();
    assert_eq!(order(0, 1), order(0, 1));
    assert_ne!(order(0, 1), order(0, 2));
    assert_ne!(order(0, 1), order(1, 1));
    let mut sorted = order(0, 1);
    sorted.sort();
    assert_eq!(sorted, (10..50).collect::<Vec<_>>());
}

#[test]
fn rows_that_do_not_exist_and_unequal_counts_are_errors() {
    assert!(samples(5).choose(&[5]).is_err());
    assert!(samples(5).choose(&[-1]).is_err());
    let inputs = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
    assert!(Samples::new(&inputs, &Tensor::zeros([4], (Kind::Int64, Device::Cpu))).is_err());
}
#[test]
fn choosing_twice_narrows_and_the_first_samples_stay_as_they_were() {
    let all = samples(6);
    let odd = all.clone().choose(&[1, 3, 5]).unwrap();
    assert_eq!(targets(odd.clone().choose(&[2, 0]).unwrap().batches(9).unwrap()), [vec![5, 1]]);
    assert!(odd.clone().choose(&[3]).is_err(), "only three rows are left");
    assert_eq!((all.len(), odd.len()), (6, 3));
}

#[test]
fn samples_split_by_classes_or_rows() {
    let inputs = Tensor::zeros([20, 2], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0i64, 0, 0, -7].repeat(5));
    let samples = Samples::new(&inputs, &labels).unwrap();
    let count = |samples: &Samples| targets(samples.batches(99).unwrap()).concat().iter().sum::<i64>() / -7;
    let (train, held_out) = samples.split(0.4, SplitMethod::Stratified, 1).unwrap();
    assert_eq!((train.len(), held_out.len(), count(&train), count(&held_out)), (12, 8, 3, 2));
    let (again, _) = train.split(0.25, SplitMethod::Last, 0).unwrap();
    assert_eq!(targets(again.batches(99).unwrap()).concat(), targets(train.batches(9).unwrap())[0]);
    let floats = Samples::new(&inputs, &inputs).unwrap();
    let fault = floats.split(0.4, SplitMethod::Stratified, 1).unwrap_err().to_string();
    assert!(fault.contains("one class number a row") && fault.contains("[20, 2]"), "{fault}");
    assert_eq!(floats.split(0.5, SplitMethod::Shuffled, 1).unwrap().1.len(), 10);
}

/// Once, a row of no values read through a null pointer.
#[test]
fn inputs_without_values_are_an_error_and_no_rows_are_not() {
    let new = |inputs: &[i64], targets: &[i64]| {
        let of = |size: &[i64]| Tensor::zeros(size, (Kind::Uint8, Device::Cpu));
        Samples::new(&of(inputs), &of(targets))
    };
    for (inputs, targets) in [(&[3, 0][..], &[3][..]), (&[3, 2, 0], &[3]), (&[], &[]), (&[1], &[])] {
        assert!(new(inputs, targets).is_err(), "{inputs:?} {targets:?}");
    }
    let nothing = new(&[0, 2], &[0]).unwrap();
    assert_eq!((nothing.len(), nothing.batches(0).unwrap().len()), (0, 0));
    assert_eq!(nothing.shuffled_batches(4, 0, 1).unwrap().count(), 0);
    assert_eq!(new(&[3], &[3]).unwrap().batches(0).unwrap().count(), 3, "a batch size of 0 counts as 1");
}

/// Once, whatever went wrong counted as too little memory.
#[test]
fn a_device_that_is_not_there_is_an_error() {
    assert!(samples(3).to_device(Device::Cuda(99)).is_err());
    let fault = |text: &str| anyhow::Error::new(TchError::Torch(text.to_string())).context("cannot copy");
    assert!(is_out_of_memory(&fault("CUDA out of memory. Tried to allocate 2 GiB")));
    assert!(!is_out_of_memory(&fault("CUDA error: invalid device ordinal")));
}

#[test]
fn only_the_chosen_rows_are_copied_to_a_device() {
    let chosen = samples(5).scaled_by(2.0).choose(&[3, 1]).unwrap();
    let copy = chosen.copy_to(Device::Cpu).unwrap();
    assert_eq!((copy.inputs.size(), &copy.rows), (vec![2, 2, 2], &None));
    let all = |samples: &Samples| samples.shuffled_batches(9, 4, 2).unwrap().next().unwrap().unwrap();
    assert_eq!(all(&copy).inputs, all(&chosen).inputs);
    assert_eq!(all(&copy).targets, all(&chosen).targets);
}

#[test]
fn any_source_of_batches_can_be_put_on_a_device() {
    let samples = samples(7);
    let source: &dyn BatchSource = &samples;
    let skipped = source.on_device(Device::Cpu).unwrap();
    let of = |batches: BatchIterator| batches.map(|batch| batch.unwrap().size).collect::<Vec<_>>();
    assert_eq!(of(skipped.shuffled_batches(3, 0, 1, 1).unwrap()), [3, 1]);
    assert_eq!((of(skipped.batches(3).unwrap()), skipped.device()), (vec![3, 3, 1], Device::Cpu));
}
