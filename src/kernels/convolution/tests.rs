use super::*;

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
        let all = backward_as::<F, V>(c, &inputs, &convolved, &gradients, &self.weight, true).unwrap();
        let without = backward_as::<F, V>(c, &inputs, &convolved, &gradients, &self.weight, false).unwrap();
        assert!(without.inputs.is_none() && without.weight == all.weight && without.bias == all.bias);
        let by_channels = |tensor: &Tensor| tensor.permute([0, 3, 1, 2]).to_kind(Kind::Float);
        [by_channels(&convolved.outputs), by_channels(&all.inputs.unwrap()), all.weight, all.bias]
    }
}

fn check<F: Factor, V: Stored<F>>(c: &Convolution, images: i64, tolerance: f64) {
    let case = Case::new(c, images);
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
fn filters_of_3_x_3_with_fewer_products_give_what_libtorch_gives() {
    if !has_fused_multiply_add() {
        return;
    }
    // Odd and even sizes, blocks of 8 and 16 channels, several bands.
    for (height, width, channels, filters) in
        [(12, 12, 16, 32), (13, 26, 32, 16), (14, 15, 16, 24), (11, 9, 40, 16), (150, 31, 16, 48)]
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
    let c = Convolution { relu: true, ..convolution([9, 8, 16], 16, [3, 1, 1]) };
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
