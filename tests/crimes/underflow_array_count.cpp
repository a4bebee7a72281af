// Writes the count that new[] keeps before the objects of an array: eight bytes inside the block,
// but one element further down is before it.
#include "twin.h"
#include <cstdio>

struct Item { long number = 0; ~Item() { number = 1; } };

int main()
{
    Item *items = new Item[3]; // ALLOCATED
    volatile long *word = &items[0].number - TWIN(2, 0);
    *word = 5; // CRIME
    std::puts("written");
    delete[] items; // FOUND
}
