// Reads behind a vector by an index that nothing checks.
#include "twin.h"
#include <cstdio>
#include <vector>

int main()
{
    std::vector<int> numbers(12, 7); // ALLOCATED
    int number = numbers[TWIN(12, 11)]; // CRIME
    std::printf("%d\n", number);
}
