// Nothing: its library carries the precompiled headers of the tests.
