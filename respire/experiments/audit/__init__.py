"""What a data set is made of, and whether the paper is right about it."""
