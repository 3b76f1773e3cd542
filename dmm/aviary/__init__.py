"""Aviary: a data set of captioned birds that ships as a program."""
