// A pointer into a vector is kept while it gives its memory back.
#include "twin.h"
#include <cstdio>
#include <vector>

int main()
{
    std::vector<int> numbers(100, 1), others(100, 2); // ALLOCATED
    int *p = TWIN(&numbers[50], &others[50]);
    numbers.clear();
    numbers.shrink_to_fit(); // FREED
    std::printf("%d\n", *p > 0); // CRIME
}
