//! All metrics against scikit-learn.

use super::{ClassMetric, Classification};
use tch::{Device, Kind, Tensor};

/// Logits with many ties and labels, as the program that computed the expected values drew them.
fn drawn(seed: u64, samples: usize, classes: usize, missing: &[usize]) -> (Tensor, Tensor) {
    let mut state = seed;
    let mut draw = |below: u64| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state >> 8) % below
    };
    let present: Vec<usize> = (0..classes).filter(|class| !missing.contains(class)).collect();
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        let label = present[draw(present.len() as u64) as usize];
        let mut row: Vec<f32> = (0..classes).map(|_| draw(7) as f32 / 2.0 - 1.0).collect();
        row[label] += draw(4) as f32 / 2.0;
        logits.extend(row);
        labels.push(label as i64);
    }
    (Tensor::from_slice(&logits).view([-1, classes as i64]), Tensor::from_slice(&labels))
}

/// What is drawn (seed, samples, classes, missing classes), and the expected values.
type Case = ((u64, usize, usize, &'static [usize]), &'static [f64]);

/// The values are those of scikit-learn 1.9.1: `log_loss`, `accuracy_score`, `balanced_accuracy_score`,
/// `precision_score`, `recall_score` and `f1_score` with `average="macro"`; the mean of `roc_auc_score` of each
/// class that occurs against the rest, which is `roc_auc_score(.., multi_class="ovr")` where all do;
/// `matthews_corrcoef`, `cohen_kappa_score`, `brier_score_loss`, and `top_k_accuracy_score` with the classes in
/// reverse, so that it takes the first of equal ones.
#[test]
fn every_metric_is_that_of_scikit_learn() {
    let names = [
        "loss",
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "auc",
        "mcc",
        "kappa",
        "brier",
        "top2",
        "top3",
    ];
    #[rustfmt::skip]
    let cases: [Case; 5] = [
        ((1, 40, 3, &[]), &[
            1.0650168079790596, 0.525, 0.5, 0.4583333333333333,
            0.5, 0.47380952380952374, 0.6556299603174603, 0.2846490728897069,
            0.2803030303030303, 0.6309477667388343, 0.725,
        ]),
        ((2, 200, 10, &[]), &[
            2.017721980455992, 0.325, 0.32970395355978876, 0.3601194043744353,
            0.32970395355978876, 0.32230713442119374, 0.7248228413416513, 0.25849153292716204,
            0.2539993921476529, 0.8063305134126799, 0.43, 0.51,
        ]),
        ((3, 30, 2, &[]), &[
            0.8291109296433391, 0.5666666666666667, 0.5633484162895928, 0.5625,
            0.5633484162895928, 0.5622895622895623, 0.5882352941176471, 0.12584555642690842,
            0.12556053811659196, 0.29216764986851307,
        ]),
        ((4, 50, 5, &[1, 4]), &[
            1.731081859935478, 0.3, 0.29894179894179895, 0.29292929292929293,
            0.17936507936507937, 0.22083269476372927, 0.6185515873015873, 0.131128596089666,
            0.11883182275931514, 0.8182503797272663, 0.48, 0.66,
        ]),
        ((5, 1000, 4, &[]), &[
            1.2325881298534556, 0.456, 0.4555280035560071, 0.46254807037992174,
            0.4555280035560071, 0.4549269657382219, 0.7240018914779021, 0.27605563828894364,
            0.27428542460972827, 0.6562907685186694, 0.703, 0.873,
        ]),
    ];
    for ((seed, samples, classes, missing), expected) in cases {
        let (logits, labels) = drawn(seed, samples, classes, missing);
        let classified = Classification::new(&logits, &labels).unwrap();
        for (name, expected) in names.iter().zip(expected) {
            let value = classified.value(name.parse().unwrap());
            assert!((value - expected).abs() < 1e-12, "case {seed}: {name} is {value}, not {expected}");
        }
    }
}

#[test]
fn samples_that_are_there_several_times_count_so() {
    let (logits, labels) = drawn(6, 60, 4, &[]);
    let classified = Classification::new(&logits, &labels).unwrap();
    let times: Vec<u32> = (0..60).map(|sample| sample % 3).collect();
    let rows: Vec<i64> = (0..60).flat_map(|sample| vec![sample; sample as usize % 3]).collect();
    let rows = Tensor::from_slice(&rows);
    let drawn = (logits.index_select(0, &rows), labels.index_select(0, &rows));
    let drawn = Classification::new(&drawn.0, &drawn.1).unwrap();
    let metrics = ClassMetric::all(4);
    let resampling = classified.resampling(&metrics);
    for metric in metrics {
        let (value, expected) = (resampling.value(metric, &times).unwrap(), drawn.value(metric));
        assert!((value - expected).abs() < 1e-12, "{metric}: {value}, not {expected}");
        assert_eq!(resampling.value(metric, &[1; 60]).unwrap(), classified.value(metric), "{metric}");
    }
    assert!(resampling.value(ClassMetric::F1, &[1; 59]).is_err());
}

/// The percentiles 2.5 and 97.5 of 20,000 resamples by numpy 2.4, whose seed and number are others: an end may be
/// off by a twentieth of the interval's width. The metrics are those of scikit-learn 1.9.1, the intervals of shares
/// `proportion_confint(.., method="wilson")` of statsmodels 0.15.
#[test]
fn intervals_of_metrics_are_those_of_resampling_with_numpy() {
    let resampled = [
        ("loss", [1.18214, 1.28272]),
        ("balanced_accuracy", [0.42492, 0.48630]),
        ("precision", [0.43119, 0.49402]),
        ("recall", [0.42492, 0.48630]),
        ("f1", [0.42361, 0.48540]),
        ("auc", [0.70171, 0.74608]),
        ("mcc", [0.23495, 0.31713]),
        ("kappa", [0.23318, 0.31493]),
        ("brier", [0.62994, 0.68231]),
    ];
    let shares = [
        ("accuracy", [0.42535751292751345, 0.4869792418192155]),
        ("top3", [0.8509252474282143, 0.8922199907415616]),
    ];
    let (logits, labels) = drawn(5, 1_000, 4, &[]);
    let classified = Classification::new(&logits, &labels).unwrap();
    let expected: Vec<(&str, [f64; 2])> = resampled.into_iter().chain(shares).collect();
    let metrics: Vec<ClassMetric> = expected.iter().map(|(name, _)| name.parse().unwrap()).collect();
    for ((name, ends), found) in expected.iter().zip(classified.intervals(&metrics)) {
        let found = <[f64; 2]>::from(found.unwrap());
        let tolerance = match shares.iter().any(|(share, _)| share == name) {
            true => 1e-12,
            false => (ends[1] - ends[0]) / 20.0,
        };
        let is_close = found.iter().zip(ends).all(|(found, end)| (found - end).abs() < tolerance);
        assert!(is_close, "{name}: {found:?}, not {ends:?}");
    }
    // What is undefined, or infinite, has none.
    let sure = Tensor::from_slice(&[f32::INFINITY, 0.0, 2.0, 0.0]).view([2, 2]);
    let sure = Classification::new(&sure, &Tensor::from_slice(&[0i64, 0])).unwrap();
    let intervals = sure.intervals(&[ClassMetric::Loss, ClassMetric::Auc, ClassMetric::Accuracy]);
    assert!(intervals[0].is_none() && intervals[1].is_none() && intervals[2].is_some(), "{intervals:?}");
}

#[test]
fn what_is_undefined_is_nan_and_what_does_not_fit_is_an_error() {
    let logits = Tensor::from_slice(&[1f32, 0.0, 2.0, 0.0]).view([2, 2]);
    let of_one = Classification::new(&logits, &Tensor::from_slice(&[0i64, 0])).unwrap();
    let undefined: Vec<ClassMetric> =
        ClassMetric::all(2).into_iter().filter(|metric| of_one.value(*metric).is_nan()).collect();
    assert_eq!(undefined, [ClassMetric::Auc, ClassMetric::Kappa]);
    assert_eq!(of_one.value(ClassMetric::Mcc), 0.0);

    // As for argmax, NaN is the largest; what needs its probability is NaN.
    let labels = Tensor::from_slice(&[1i64, 0]);
    let with_nan = Tensor::from_slice(&[1f32, f32::NAN, 2.0, 0.0]).view([2, 2]);
    let with_nan = Classification::new(&with_nan, &labels).unwrap();
    assert_eq!(with_nan.value(ClassMetric::Accuracy), 1.0);
    for metric in [ClassMetric::Auc, ClassMetric::Loss, ClassMetric::Brier] {
        assert!(with_nan.value(metric).is_nan(), "{metric}");
        assert!(with_nan.resampling(&[metric]).value(metric, &[1, 1]).unwrap().is_nan(), "{metric}");
    }

    let none = Tensor::zeros([0, 2], (Kind::Float, Device::Cpu));
    let none = Classification::new(&none, &Tensor::zeros([0], (Kind::Int64, Device::Cpu))).unwrap();
    assert!(
        ClassMetric::all(2)
            .into_iter()
            .all(|metric| metric == ClassMetric::Mcc || none.value(metric).is_nan())
    );
    for labels in [&[0i64, 2][..], &[-1, 0], &[0]] {
        assert!(Classification::new(&logits, &Tensor::from_slice(labels)).is_err(), "{labels:?}");
    }
}
