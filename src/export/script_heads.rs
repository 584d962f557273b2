//! What the code of every exported class begins with, whatever network is inside.

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
