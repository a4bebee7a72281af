// A function object keeps a reference to what its maker has already given back.
#include "twin.h"
#include <cstdio>
#include <functional>
#include <memory>

static std::function<int()> counter(std::shared_ptr<int> kept)
{
    auto local = std::make_unique<int>(3); // ALLOCATED
    int *number = TWIN(local.get(), kept.get());
    return [number] { return *number; }; // CRIME
} // FREED

int main()
{
    auto kept = std::make_shared<int>(4);
    std::printf("%d\n", counter(kept)());
}
