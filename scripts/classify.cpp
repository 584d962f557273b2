// Classifies a picture with a model.pt that fitch wrote. It needs libtorch, nothing of fitch's:
//
//     g++ -std=c++17 -I"$LIBTORCH/include" -I"$LIBTORCH/include/torch/csrc/api/include" classify.cpp \
//         -L"$LIBTORCH/lib" -Wl,-rpath,"$LIBTORCH/lib" -ltorch_cpu -lc10 -o classify
//     ./classify model.pt picture.pgm
//
// The picture is a binary PGM of the model's own size, with values up to 255, and must look like the
// training images: of MNIST, bright ink on dark paper. For a GPU add -ltorch_cuda and load to torch::kCUDA.

#include <torch/script.h>

#include <fstream>
#include <iostream>
#include <vector>

int main(int count, char **arguments) {
    if (count != 3) {
        std::cerr << "usage: classify model.pt picture.pgm\n";
        return 2;
    }
    std::ifstream file(arguments[2], std::ios::binary);
    std::string format;
    int64_t width = 0, height = 0, maximum = 0;
    file >> format >> width >> height >> maximum;
    file.get();
    if (format != "P5" || maximum != 255 || width < 1 || height < 1 || width > 4096 || height > 4096) {
        std::cerr << arguments[2] << " is not a binary PGM with values up to 255\n";
        return 1;
    }
    std::vector<uint8_t> pixels(width * height);
    if (!file.read(reinterpret_cast<char *>(pixels.data()), pixels.size())) {
        std::cerr << arguments[2] << " is cut short\n";
        return 1;
    }
    try {
        torch::NoGradGuard no_gradient;
        torch::jit::Module model = torch::jit::load(arguments[1], torch::kCPU);
        torch::Tensor images = torch::from_blob(pixels.data(), {1, height, width}, torch::kUInt8);
        torch::Tensor probabilities = model.forward({images / 255.0}).toTensor()[0];
        auto [probability, number] = probabilities.max(0);
        std::cout << "class " << number.item<int64_t>() << ", probability " << probability.item<float>() << "\n";
    } catch (const c10::Error &fault) {
        std::cerr << fault.what_without_backtrace() << "\n";
        return 1;
    }
}
