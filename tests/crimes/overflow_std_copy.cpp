// Copies one number too many into a vector.
#include "twin.h"
#include <algorithm>
#include <cstdio>
#include <vector>

int main()
{
    long source[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    std::vector<long> target(8); // ALLOCATED
    std::copy(source, source + TWIN(9, 8), target.begin()); // CRIME
    std::printf("%ld\n", target.back());
}
