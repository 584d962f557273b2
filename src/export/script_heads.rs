//! What the code of every exported class begins and ends with, whatever network is inside.

/// The method `forward` of a class that takes pixels, with the `probabilities` of `logits`, and the beginning of the
/// method `logits`: from `images` to `scaled`, of the type and the device of what `like` is.
pub fn heads(class: &str, probabilities: &str, like: &str, maximum: f64) -> String {
    // Integers are raw pixels, floats are scaled already.
    format!(
        "  def forward(self: {class}, images: Tensor) -> Tensor:\n    logits = (self).logits(images, )\n    return \
         {probabilities}\n  def logits(self: {class}, images: Tensor) -> Tensor:\n    pixels = torch.to(images, \
         {like})\n    if torch.is_floating_point(images):\n      scaled = pixels\n    else:\n      scaled = \
         torch.div(pixels, {maximum:?})\n"
    )
}

/// The end of the method `logits`: what it returns of the network's logits `x`.
pub fn end(temperature: Option<f32>) -> String {
    match temperature {
        None => "    return x\n".to_string(),
        Some(temperature) => format!("    return torch.div(x, {temperature:?})\n"),
    }
}
