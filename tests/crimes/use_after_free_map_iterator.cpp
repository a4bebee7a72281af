// The loop erases from the map that it walks, and then looks at what it has erased.
#include "twin.h"
#include <cstdio>
#include <map>

int main()
{
    std::map<int, int> squares;
    squares[1] = 1;
    squares[2] = 4; // ALLOCATED
    auto one = squares.find(1), two = squares.find(2);
    squares.erase(two); // FREED
    std::printf("%d\n", TWIN(two, one)->second); // CRIME
}
