//! libgranule_stomp: the preload library.
#![no_std]
