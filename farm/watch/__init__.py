"""What upstream released: looked up, remembered, proposed as a branch with the edited recipe."""
