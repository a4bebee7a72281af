// A reference into a vector is kept over push_back, which moves the numbers.
#include "twin.h"
#include <cstdio>
#include <vector>

int main()
{
    std::vector<long> numbers(2, 1); // ALLOCATED
    long &first = numbers[0];
    numbers.push_back(2); // FREED
    long *p = TWIN(&first, &numbers[0]);
    *p = 5; // CRIME
    std::printf("%zu\n", numbers.size());
}
