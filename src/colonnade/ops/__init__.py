"""Pure functions on arrays, each a forward and backward pair. They write into arrays that they are handed."""
