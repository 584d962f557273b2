//! What metrics count in the logits of a batch. On a CPU each is one pass over them; libtorch's operators take
//! longer to call than to compute.

use super::cross_entropy::{largest, rows};
use tch::{Kind, Tensor};

/// Of logits [b, classes] and labels `[b]`, as float64 [3 * classes]: how many samples each class has, how often it
/// is predicted, and how often rightly.
pub fn class_counts(logits: &Tensor, labels: &Tensor) -> Tensor {
    counts_on_cpu(logits, labels).unwrap_or_else(|| {
        let classes = logits.size().last().copied().unwrap_or(0);
        let zeros = Tensor::zeros([classes], (Kind::Double, logits.device()));
        let predictions = logits.argmax(-1, false);
        let is_correct = predictions.eq_tensor(labels).to_kind(Kind::Double);
        let ones = is_correct.ones_like();
        let [samples, predicted, correct] = [(labels, &ones), (&predictions, &ones), (labels, &is_correct)]
            .map(|(at, add)| zeros.scatter_add(0, at, add));
        Tensor::cat(&[samples, predicted, correct], 0)
    })
}

fn counts_on_cpu(logits: &Tensor, labels: &Tensor) -> Option<Tensor> {
    let (logits, labels, classes) = rows(logits, labels)?;
    let mut counts = vec![0f64; 3 * classes];
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let label = usize::try_from(label).ok().filter(|label| *label < classes)?;
        let prediction = largest(row);
        counts[label] += 1.0;
        counts[classes + prediction] += 1.0;
        counts[2 * classes + label] += if label == prediction { 1.0 } else { 0.0 };
    }
    Some(Tensor::from_slice(&counts))
}

/// How many samples have their label among the k largest logits. Of equal ones the first count, and NaN is as large
/// as infinity.
pub fn count_in_top(logits: &Tensor, labels: &Tensor, k: usize) -> Tensor {
    count_in_top_on_cpu(logits, labels, k).map_or_else(
        || {
            let logits = logits.nan_to_num(f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY);
            let labels = labels.unsqueeze(-1);
            let own = logits.gather(-1, &labels, false);
            let classes =
                Tensor::arange(logits.size().last().copied().unwrap_or(0), (Kind::Int64, logits.device()));
            let is_earlier = logits.eq_tensor(&own).logical_and(&classes.lt_tensor(&labels));
            let rank = logits.gt_tensor(&own).logical_or(&is_earlier).sum_dim_intlist(-1, false, Kind::Int64);
            rank.lt(k as i64).sum(Kind::Double)
        },
        Tensor::from,
    )
}

fn count_in_top_on_cpu(logits: &Tensor, labels: &Tensor, k: usize) -> Option<f64> {
    let (logits, labels, classes) = rows(logits, labels)?;
    let mut count = 0.0;
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let label = usize::try_from(label).ok().filter(|label| *label < classes)?;
        let ordered = |value: f32| if value.is_nan() { f32::INFINITY } else { value };
        let own = ordered(row[label]);
        let before = |(class, &value): (usize, &f32)| {
            let value = ordered(value);
            value > own || value == own && class < label
        };
        if row.iter().enumerate().filter(|pair| before(*pair)).count() < k {
            count += 1.0;
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::without_own_code;

    #[test]
    fn both_ways_count_the_same_with_ties_and_nan() {
        let values = [0.5, -1.0, f32::NAN, 0.5, f32::INFINITY, 2.0, f32::NEG_INFINITY];
        let logits: Vec<f32> = (0..70).map(|place| values[(place * place + place / 3) % 7]).collect();
        let logits = Tensor::from_slice(&logits).view([14, 5]);
        let labels = Tensor::arange(14, (Kind::Int64, tch::Device::Cpu)).remainder(5);
        let numbers = |counts: Tensor| Vec::<f64>::try_from(counts.reshape([-1])).unwrap();
        let counts = numbers(class_counts(&logits, &labels));
        assert_eq!(counts, without_own_code(|| numbers(class_counts(&logits, &labels))));
        assert_eq!([&counts[..5], &counts[5..10]].map(|counts| counts.iter().sum::<f64>()), [14.0, 14.0]);
        let in_top = |k| numbers(count_in_top(&logits, &labels, k));
        for k in 1..=5 {
            assert_eq!(in_top(k), without_own_code(|| in_top(k)), "{k}");
        }
        assert!(in_top(1) < in_top(2) && in_top(5) == [14.0]);
        // Labels out of range are for the loss to refuse.
        assert!(count_in_top_on_cpu(&logits, &(&labels - 1), 2).is_none());
        assert!(counts_on_cpu(&logits, &(&labels + 1)).is_none());
    }
}
