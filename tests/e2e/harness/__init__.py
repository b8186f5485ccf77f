"""What the end-to-end tests are made of: the program, peers that misbehave on order, and a network to do it in."""
