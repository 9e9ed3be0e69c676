// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that does nothing, to see whether a way of building and running programs works at all.
int main(void) {
    return 0;
}
