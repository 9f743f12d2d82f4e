"""aam_models"""
