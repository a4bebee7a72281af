// Calls a virtual function of a deleted object.
#include "twin.h"
#include <cstdio>

struct Shape {
    long sides = 4;
    virtual ~Shape() {} // FREED
    virtual void draw() { std::printf("%ld\n", sides); }
};

int main()
{
    Shape *gone = new Shape; // ALLOCATED
    Shape *live = new Shape;
    delete gone;
    TWIN(gone, live)->draw(); // CRIME
    delete live;
}
