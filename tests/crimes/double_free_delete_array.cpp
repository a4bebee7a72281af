// Deletes an array twice.
#include "twin.h"
#include <cstdio>

int main()
{
    int *numbers = new int[25]; // ALLOCATED
    delete[] numbers; // FREED
    numbers = TWIN(numbers, nullptr);
    delete[] numbers; // CRIME
    std::puts("deleted");
}
