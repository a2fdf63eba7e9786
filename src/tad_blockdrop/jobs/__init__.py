"""What several devices share: what each stage gives to their processes and takes from them."""
