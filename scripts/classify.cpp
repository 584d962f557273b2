// Classifies an image with a model.pt that fitch wrote. It needs libtorch, nothing of fitch's:
//
//     g++ -std=c++17 -I"$LIBTORCH/include" -I"$LIBTORCH/include/torch/csrc/api/include" classify.cpp \
//         -L"$LIBTORCH/lib" -Wl,-rpath,"$LIBTORCH/lib" -ltorch_cpu -lc10 -o classify
//     ./classify model.pt image.pgm
//
// The image is a binary PGM (grey) or PPM (colour) of the model's own size, with values up to 255, and must
// look like the training images: for MNIST, bright ink on dark paper. For a GPU add -ltorch_cuda and load to
// torch::kCUDA.

#include <torch/script.h>

#include <fstream>
#include <iostream>
#include <vector>

int main(int count, char **arguments) {
    if (count != 3) {
        std::cerr << "usage: classify model.pt image.pgm\n";
        return 2;
    }
    std::ifstream file(arguments[2], std::ios::binary);
    std::string format;
    int64_t width = 0, height = 0, maximum = 0;
    file >> format >> width >> height >> maximum;
    file.get();
    const bool is_grey = format == "P5";
    if (!(is_grey || format == "P6") || maximum != 255 || width < 1 || height < 1 || width > 4096 || height > 4096) {
        std::cerr << arguments[2] << " is not a binary PGM or PPM with values up to 255\n";
        return 1;
    }
    const int64_t channels = is_grey ? 1 : 3;
    std::vector<uint8_t> pixels(width * height * channels);
    if (!file.read(reinterpret_cast<char *>(pixels.data()), pixels.size())) {
        std::cerr << arguments[2] << " is cut short\n";
        return 1;
    }
    try {
        torch::NoGradGuard no_gradient;
        torch::jit::Module model = torch::jit::load(arguments[1], torch::kCPU);
        torch::Tensor images = torch::from_blob(pixels.data(), {1, height, width, channels}, torch::kUInt8);
        // Grey images are [n, height, width], those in colour [n, 3, height, width].
        images = is_grey ? images.squeeze(3) : images.permute({0, 3, 1, 2});
        torch::Tensor probabilities = model.forward({images / 255.0}).toTensor()[0];
        auto [probability, index] = probabilities.max(0);
        std::cout << "class " << index.item<int64_t>() << ", probability " << probability.item<float>() << "\n";
    } catch (const c10::Error &fault) {
        std::cerr << fault.what_without_backtrace() << "\n";
        return 1;
    }
}
