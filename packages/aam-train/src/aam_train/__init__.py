"""aam_train"""
