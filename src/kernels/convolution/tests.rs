use super::*;
use crate::kernels::threads::with_threads;

/// Values between -0.5 and 0.5 that look random.
fn numbers(shape: &[i64], seed: f64) -> Tensor {
    let count = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) + seed;
    ((count * 0.618_033_988).frac() - 0.5).to_kind(Kind::Float).view(shape)
}

/// From [b, c, h, w] to the order of memory used here.
fn by_pixels(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).contiguous()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let max =
        |tensor: Tensor| if tensor.numel() == 0 { 0.0 } else { f64::try_from(tensor.abs().max()).unwrap() };
    max(a.to_kind(Kind::Double) - b.to_kind(Kind::Double)) / max(b.to_kind(Kind::Double)).max(1e-3)
}

fn convolution(shape: [usize; 3], filters: usize, [size, stride, padding]: [usize; 3]) -> Convolution {
    let [height, width, channels] = shape;
    Convolution { height, width, channels, filters, size, stride, padding, relu: false, pool: 1 }
}

const ALL: Needed = Needed { inputs: true, parameters: true };

struct Case {
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor,
    gradients: Tensor,
}

impl Case {
    fn new(c: &Convolution, images: i64) -> Case {
        let [filters, channels, size] = [c.filters, c.channels, c.size].map(|size| size as i64);
        let [height, width] = c.pooled().map(|size| size as i64);
        Case {
            inputs: numbers(&[images, channels, c.height as i64, c.width as i64], 1.0),
            weight: numbers(&[filters, channels, size, size], 0.25),
            bias: numbers(&[filters], 0.5),
            gradients: numbers(&[images, filters, height, width], 0.75),
        }
    }

    /// Values that are numbers of that type, so that only results are rounded.
    fn rounded_to(self, kind: Kind) -> Case {
        let rounded = |tensor: Tensor| tensor.to_kind(kind).to_kind(Kind::Float);
        let Case { inputs, weight, bias, gradients } = self;
        Case { inputs: rounded(inputs), weight: rounded(weight), bias, gradients: rounded(gradients) }
    }

    /// Outputs and gradients by libtorch, in float32 and in its order of memory.
    fn by_autograd(&self, c: &Convolution) -> [Tensor; 4] {
        let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        let [inputs, weight, bias] = [&self.inputs, &self.weight, &self.bias].map(leaf);
        let [stride, padding, pool] = [c.stride, c.padding, c.pool].map(|value| value as i64);
        let mut outputs = inputs.conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], 1);
        if c.relu {
            outputs = outputs.relu();
        }
        if pool > 1 {
            outputs = outputs.max_pool2d([pool; 2], [pool; 2], [0, 0], [1, 1], false);
        }
        let loss = (&outputs * &self.gradients).sum(Kind::Float);
        let [of_inputs, of_weight, of_bias] =
            Tensor::run_backward(&[loss], &[&inputs, &weight, &bias], false, false).try_into().unwrap();
        [outputs.detach(), of_inputs, of_weight, of_bias]
    }

    fn by_ourselves<F: Factor, V: Stored<F>>(&self, c: &Convolution) -> [Tensor; 4] {
        let inputs = by_pixels(&self.inputs).to_kind(V::KIND);
        let convolved = forward_as::<F, V>(c, &inputs, &self.weight, &self.bias).unwrap();
        let gradients = by_pixels(&self.gradients).to_kind(V::KIND);
        let backward =
            |needed| backward_as::<F, V>(c, &inputs, &convolved, &gradients, &self.weight, needed).unwrap();
        let all = backward(ALL);
        let of_parameters = backward(Needed { inputs: false, ..ALL });
        assert!(of_parameters.inputs.is_none() && of_parameters.parameters == all.parameters);
        let of_inputs = backward(Needed { parameters: false, ..ALL });
        assert!(of_inputs.parameters.is_none() && of_inputs.inputs == all.inputs);
        let [weight, bias] = all.parameters.unwrap();
        let by_channels = |tensor: &Tensor| tensor.permute([0, 3, 1, 2]).to_kind(Kind::Float);
        [by_channels(&convolved.outputs), by_channels(&all.inputs.unwrap()), weight, bias]
    }
}

fn check<F: Factor, V: Stored<F>>(c: &Convolution, images: i64, tolerance: f64) {
    let case = Case::new(c, images).rounded_to(V::KIND);
    let names = ["outputs", "gradients of inputs", "gradients of weights", "gradients of biases"];
    let all = case.by_ourselves::<F, V>(c).into_iter().zip(case.by_autograd(c));
    for (name, (ours, theirs)) in names.into_iter().zip(all) {
        let distance = distance(&ours, &theirs);
        assert!(
            distance < tolerance,
            "{c:?} of {images} images in {:?}: {name} are off by {distance}",
            V::KIND
        );
    }
}

#[test]
fn outputs_and_gradients_of_any_shape_are_those_of_libtorch() {
    if !has_fused_multiply_add() {
        return;
    }
    for size in 1..=7 {
        for stride in 1..=4 {
            for [height, width] in [[size, size], [size + 1, 9], [13, size + 2]] {
                let (channels, filters) = (1 + (size * stride) % 5, 1 + (size * 7 + stride * 5) % 37);
                let mut c = convolution([height, width, channels], filters, [size, stride, 0]);
                check::<f32, f32>(&c, 2, 2e-5);
                c.padding = size / 2;
                check::<f32, f32>(&c, 2, 2e-5);
            }
        }
    }
    for (channels, filters) in [(1, 16), (16, 16), (3, 8), (8, 3), (17, 33), (64, 48)] {
        check::<f32, f32>(&convolution([10, 12, channels], filters, [3, 1, 1]), 3, 2e-5);
    }
}

#[test]
fn relu_and_pooling_give_what_they_give_one_after_another() {
    if !has_fused_multiply_add() {
        return;
    }
    for pool in [1, 2, 3, 5] {
        for (relu, stride, padding) in [(true, 1, 1), (false, 2, 0), (true, 3, 1), (false, 1, 0)] {
            for filters in [1, 8, 16, 37] {
                let c = Convolution { relu, pool, ..convolution([23, 26, 3], filters, [3, stride, padding]) };
                check::<f32, f32>(&c, 2, 2e-5);
            }
        }
    }
}

#[test]
fn images_are_computed_in_bands_where_they_are_large() {
    if !has_fused_multiply_add() {
        return;
    }
    for (size, stride, padding, pool) in
        [(3, 1, 1, 1), (3, 1, 1, 2), (5, 2, 2, 1), (2, 2, 0, 2), (1, 3, 0, 1)]
    {
        let c = Convolution { relu: true, pool, ..convolution([150, 60, 16], 24, [size, stride, padding]) };
        assert!(c.bands().len() > 1, "{c:?}");
        check::<f32, f32>(&c, 2, 5e-5);
    }
    // Fewer rows of inputs than bands of outputs cannot be; no images can.
    check::<f32, f32>(&convolution([5, 5, 2], 3, [2, 1, 0]), 0, 1e-5);
}

/// The products of pairs are tried on every processor, as the one without the instructions computes them.
#[test]
fn bfloat16_differs_by_its_rounding_alone() {
    if !has_fused_multiply_add() {
        return;
    }
    for size in 1..=8 {
        for stride in 1..=3 {
            for output in 1..=4 {
                // Neighbours come in pairs: odd numbers of channels, filters and columns are the hard ones.
                let side = size + stride * (output - 1);
                let (channels, filters) = (1 + (size + output) % 3, 1 + (size * 5 + stride) % 19);
                let mut c = convolution([side, side + 1, channels], filters, [size, stride, 0]);
                for padding in [0, size / 2] {
                    c.padding = padding;
                    check::<f32, bf16>(&c, 2, 0.01);
                    check::<bf16, bf16>(&c, 2, 0.01);
                }
            }
        }
    }
    // Of several products, rounding would decide which of nearly equal sums is the largest.
    let c = Convolution { relu: true, pool: 2, ..convolution([14, 12, 1], 19, [1, 1, 0]) };
    check::<f32, bf16>(&c, 3, 0.01);
    check::<bf16, bf16>(&c, 3, 0.01);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    if !has_fused_multiply_add() {
        return;
    }
    let direct = Convolution { relu: true, pool: 2, ..convolution([90, 40, 16], 16, [3, 1, 1]) };
    let with_fewer_products = convolution([90, 40, 32], 16, [3, 1, 1]);
    for (c, kind) in [(direct, Kind::Float), (with_fewer_products, Kind::Float), (direct, Kind::BFloat16)] {
        let case = Case::new(&c, 9);
        let (inputs, gradients) =
            (by_pixels(&case.inputs).to_kind(kind), by_pixels(&case.gradients).to_kind(kind));
        let compute = |threads| {
            with_threads(threads, || {
                let convolved = forward(&c, &inputs, &case.weight, &case.bias).unwrap();
                let all = backward(&c, &inputs, &convolved, &gradients, &case.weight, ALL).unwrap();
                let [weight, bias] = all.parameters.unwrap();
                [convolved.outputs, all.inputs.unwrap(), weight, bias]
            })
        };
        let one = compute(1);
        for threads in [2, 3, 7] {
            assert!(compute(threads) == one, "{threads} threads, {kind:?}");
        }
    }
}

#[test]
fn a_value_that_is_not_a_number_is_not_hidden() {
    if !has_fused_multiply_add() {
        return;
    }
    for pool in [1, 2] {
        let c = Convolution { relu: true, pool, ..convolution([6, 6, 2], 3, [3, 1, 1]) };
        let case = Case::new(&c, 1);
        let inputs = by_pixels(&case.inputs);
        let _ = inputs.get(0).get(3).get(3).get(1).fill_(f64::NAN);
        let convolved = forward(&c, &inputs, &case.weight, &case.bias).unwrap();
        assert!(
            convolved.outputs.get(0).get(3 / pool as i64).get(3 / pool as i64).isnan().all()
                == Tensor::from(true)
        );
        assert!(convolved.outputs.get(0).get(0).get(0).isnan().any() == Tensor::from(false));
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let c = convolution([6, 6, 2], 3, [3, 1, 1]);
    let case = Case::new(&c, 2);
    let inputs = by_pixels(&case.inputs);
    let fault = forward(&c, &case.inputs, &case.weight, &case.bias).unwrap_err().to_string();
    assert_eq!(fault, "images have the shape [2, 2, 6, 6], not [2, 6, 6, 2]");
    assert!(forward(&c, &inputs.to_kind(Kind::Double), &case.weight, &case.bias).is_err());
    assert!(forward(&c, &inputs, &case.weight.to_kind(Kind::Double), &case.bias).is_err());
    assert!(forward(&c, &inputs, &case.weight.narrow(0, 0, 2), &case.bias).is_err());
    assert!(forward(&c, &inputs.transpose(1, 2), &case.weight, &case.bias).is_err(), "not contiguous");
    let convolved = forward(&c, &inputs, &case.weight, &case.bias).unwrap();
    let gradients = by_pixels(&case.gradients).narrow(0, 0, 1).contiguous();
    assert!(backward(&c, &inputs, &convolved, &gradients, &case.weight, ALL).is_err());
}

#[test]
fn filters_of_3_x_3_with_fewer_products_give_what_libtorch_gives() {
    if !has_fused_multiply_add() {
        return;
    }
    // Odd and even sizes, blocks of 8 and 16 channels, several bands.
    for (height, width, channels, filters) in
        [(12, 12, 16, 32), (13, 26, 32, 16), (14, 15, 24, 24), (11, 9, 40, 16), (150, 31, 16, 48)]
    {
        for (padding, relu, pool) in [(0, false, 1), (1, true, 1), (0, true, 2), (1, false, 3)] {
            let shape = convolution([height, width, channels], filters, [3, 1, padding]);
            let c = Convolution { relu, pool, ..shape };
            assert!(winograd::is_faster::<f32>(c.pooled().map(|size| size * pool), channels, filters));
            check::<f32, f32>(&c, 2, 2e-5);
        }
    }
}

#[test]
fn a_value_that_is_no_number_reaches_its_outputs_and_no_others() {
    if !has_fused_multiply_add() {
        return;
    }
    let c = Convolution { relu: true, ..convolution([9, 8, 16], 32, [3, 1, 1]) };
    let case = Case::new(&c, 1);
    let inputs = by_pixels(&case.inputs);
    for (row, column) in [(0, 0), (4, 3), (5, 6), (8, 7)] {
        let broken = inputs.copy();
        let _ = broken.get(0).get(row).get(column).get(5).fill_(f64::NAN);
        let outputs = forward_as::<f32, f32>(&c, &broken, &case.weight, &case.bias).unwrap().outputs;
        for (y, x) in (0..9).flat_map(|y| (0..8).map(move |x| (y, x))) {
            let is_touched = row.abs_diff(y) <= 1 && column.abs_diff(x) <= 1;
            let pixel = outputs.get(0).get(y).get(x).isnan();
            let (all, any) = (bool::try_from(pixel.all()).unwrap(), bool::try_from(pixel.any()).unwrap());
            assert!((all, any) == (is_touched, is_touched), "({row}, {column}) in ({y}, {x})");
        }
    }
}
